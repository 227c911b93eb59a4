"""Whether a teacher is shown to know more, so that a student may learn from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tuneworthy.matrix.columns import Column
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.run import Run, Spec
from tuneworthy.records.specs import learns_from_teacher, needs_of_arm


def why_not_taught(inputs: ComparisonInputs, runs: Sequence[Run], spec: Spec) -> str:
    """Return why an arm that learns from the teacher is not trained, or "".

    It is trained if the lower bound of teacher - rival is above 0, where the rival is the best
    candidate that needs no teacher, on the cases that both answered. An arm that the teacher's own
    model answers is no rival: it is the teacher. The rival is chosen by its mean on these very
    cases, which can only make it look better, so the bound needs no further correction.
    """
    if not learns_from_teacher(spec):
        return ""
    matrix = Matrix.by_score(inputs, runs)
    columns = [*matrix.columns.values()]
    own = _own_teacher({run.spec.name: run.spec for run in runs}.values(), spec)
    teacher = next((one for one in columns if own is not None and one.spec == own), None)
    if teacher is None:
        why = next((run.because for run in runs if run.spec == own and run.because), "")
        return "the teacher was not measured on these cases" + (f": {why}" if why else "")
    rivals = [one for one in columns if _is_rival(one, teacher)]
    if not rivals:
        return ""
    shared = {one.spec.name: sorted(set(one.cells) & set(teacher.cells)) for one in rivals}
    best = max(rivals, key=lambda one: float(one.values(shared[one.spec.name]).mean()))
    pair = matrix.difference(teacher.spec.name, best.spec.name, inputs.tail)
    if pair.low > 0:
        return ""
    return (
        f"the teacher is not shown to be better than {best.spec.name}, which needs no teacher: "
        f"{100 * pair.mean:+.1f} points (at least {100 * pair.low:+.1f}, n {pair.n})"
    )


def _own_teacher(measured: Iterable[Spec], student: Spec) -> Spec | None:
    """Return the measured teacher whose prompt is the one of this student.

    If there is none, the first teacher that was measured; None without one.
    """
    teachers = [spec for spec in measured if is_teacher(spec)]
    prompt = student.options.get("teacher_prompt")
    own = (spec for spec in teachers if spec.options.get("teacher_prompt") == prompt)
    return next(own, teachers[0] if teachers else None)


def is_teacher(spec: Spec) -> bool:
    """Return whether an arm is a teacher that answers itself, not a student of one."""
    needs = needs_of_arm(spec)
    return spec.role == "ceiling" and "teacher" in needs and "training" not in needs


def _is_rival(one: Column, teacher: Column) -> bool:
    own = [_model_identity(run) for run in teacher.runs]
    apart = not any(run.fingerprint and _model_identity(run) in own for run in one.runs)
    free = one.spec.role == "candidate" and not learns_from_teacher(one.spec)
    return apart and free and bool(set(one.cells) & set(teacher.cells))


def _model_identity(run: Run) -> Mapping[str, str]:
    """Return the fingerprint of a run's model, at an endpoint without its request options."""
    marks = run.fingerprint
    served: dict[str, str] = {key: marks[key] for key in ("endpoint", "model") if key in marks}
    return served if "endpoint" in marks else marks
