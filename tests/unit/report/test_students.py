"""The four columns beside a student: who stands in which, and what is said where one is missing."""

from types import SimpleNamespace

from tuneworthy.records.plugins import load
from tuneworthy.records.run import Run, Spec
from tuneworthy.report.training_sections import student_lines, student_texts

TOLD = {
    "teacher": "hf:large", "loss": "text", "gold_rows": 6, "teacher_rows": 40,
    "agreement": {"agree": 7, "of": 10}, "length_ratio": 1.0,
    "curve": [{"rows": 10, "agree": 4, "of": 10}, {"rows": 40, "agree": 7, "of": 10}],
    "pairs": {"inputs": 60, "written": 300, "kept": 50, "rejected": {"the samples disagree": 10},
              "tokens_in": 1, "tokens_out": 1, "usd": 0.25},
    "prompt_tokens": {"teacher": 420.0, "student": 60.0},
}  # fmt: skip


def spec(arm, **options):
    module = load("arms", arm)
    filled = module.Options.model_validate(options)
    tool, role = module.TOOL or None, module.ROLE
    if hasattr(module, "place"):
        tool, role = module.place(filled)
    name = arm + "".join(f" {key}={value}" for key, value in options.items())
    return Spec(name=name, arm=arm, options=filled.plain(), tool=tool, role=role)


def results(*specs, taught=None, finalists=()):
    runs, arms = [], []
    for at, one in enumerate(specs):
        trace = {"distilled": taught or TOLD} if one.tool == "distil" else None
        runs += [Run(spec=one, seed=0, fold=fold, state="measured", trace=trace) for fold in (0, 1)]
        mean = 0.9 - at / 10
        score = SimpleNamespace(mean=mean, low=mean - 0.05, high=mean + 0.05)
        arms.append(SimpleNamespace(name=one.name, tool=one.tool, role=one.role, because="",
                                    score=score, finalist=one.name in finalists))  # fmt: skip
    return SimpleNamespace(runs=tuple(runs), evidence=SimpleNamespace(arms=tuple(arms)))


def columns(*specs, **more):
    (student,) = student_lines(results(*specs, **more))
    return [arm for _, arm, _ in student["columns"]]


def test_each_student_has_its_own_untouched_and_seed_student():
    plain = [spec(arm) for arm in ("teacher", "distil", "zero_shot", "lora", "tfidf")]
    assert columns(*plain) == ["teacher", "distil", "zero_shot", "lora"]
    cut = {"student": "layers"}
    others = [spec("teacher"), spec("distil", **cut), spec("distil", **cut, learns="nothing"),
              spec("distil", **cut, learns="own"), spec("lora"), spec("zero_shot")]  # fmt: skip
    assert columns(*others) == [s.name for s in others[:4]]
    longer = spec("distil", **cut, learns="own", epochs=9)
    assert columns(*others[:3], longer)[3] == "", "another training is no fair seed student"
    vectors = [spec("teacher"), spec("distil", student="classifier", head="vectors"),
               spec("tfidf"), spec("embedding_head")]  # fmt: skip
    assert columns(*vectors)[2:] == ["", "embedding_head"]


def test_the_teacher_of_a_prompt_that_is_distilled_is_the_long_prompt():
    arms = [spec(arm) for arm in ("few_shot", "prompt_distil", "zero_shot", "lora")]
    assert columns(*arms, finalists=("few_shot",))[0] == "few_shot"
    assert columns(*arms)[0] == ""


def test_agreement_is_a_line_of_its_own_over_all_fits_and_never_a_column():
    found = results(spec("teacher"), spec("distil"))
    (student,) = student_lines(found)
    agreement, curve, pairs, spend, tokens = student["lines"]
    assert agreement.endswith("14 of 20 inputs held back.")
    assert "no quality" in agreement
    assert curve == "Agreement by teacher rows, first fit: 4 of 10 with 10, 7 of 10 with 40."
    assert pairs.endswith("50 are kept (rejected: 10: the samples disagree).")
    assert "$0.25" in spend
    assert tokens == "Prompt tokens a request: 420 for the teacher, 60 after."
    assert not any("14 of 20" in value for _, _, value in student["columns"])
    assert "not measured" in student_texts(found)[0]
    few = {**TOLD, "agreement": {"agree": None, "of": 2}, "curve": TOLD["curve"][:1]}
    (student,) = student_lines(results(spec("distil"), taught=few))
    assert "too few of its rows" in student["lines"][0]
    assert student_lines(results(spec("lora"))) == []
