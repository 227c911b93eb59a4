"""The trace of an export names the first step that is not sound."""

from tuneworthy.records.build_report import ExportStep, ExportTrace


def trace(*sound):
    names = ("base", "merge", "precision")
    steps = [ExportStep.of(name, is_sound, "why")
             for name, is_sound in zip(names, sound, strict=True)]  # fmt: skip
    return ExportTrace(source="a", export="b", steps=tuple(steps))


def test_the_first_faulty_step_is_the_fault():
    assert trace(True, True, True).fault is None
    assert trace(True, None, True).fault is None, "not checked is no fault"
    assert trace(True, False, False).fault.name == "merge"
