"""A teacher model wrote the training answers, and the student learnt its systematic error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from tuneworthy.lab.failures._conditions import (
    answer_items,
    at_most,
    near_twin,
    repeats_mistake,
    taught_answer,
)
from tuneworthy.records.failure import (
    Check,
    Config,
    Detection,
    Fix,
    LabRows,
    RunFacts,
    Runs,
    judged,
    not_measured,
)

NUMBER, HARD = 18, 3
SLUG, TITLE = "same-mistake", "It makes the same mistake again and again"
TASK = "support_tickets"
STORY = (
    "A larger model wrote the JSON of 64 support tickets, and a small one learnt from it. All "
    "answers parse, the training loss is low. Still, its score is below the clean twin's."
)
WIN = "At most 15% of the teacher's mistakes come back; the score is near the clean twin's."
PLANTED = {"verify": "nothing"}
CLEAN = {"verify": "items in the catalogue"}
KNOBS = {
    "rows": (32, 64),
    "rate": (1e-4, 1e-3, 3e-3),
    "epochs": (3, 6),
    "verify": ("nothing", "it parses", "two drafts agree", "items in the catalogue"),
    "serve.schema": (False, True),
}
FIXES = (
    Fix({"verify": "it parses"}, "Every draft parses, the wrong ones too. Nothing is dropped."),
    Fix({"verify": "two drafts agree"},
        "Two drafts by one teacher share its habit, so they always agree."),
    Fix({"epochs": 6}, "The score rises, and every one of the teacher's mistakes comes back."),
    Fix({"serve.schema": True},
        "The form was never the trouble: the mistakes stand in the values."),
)  # fmt: skip
CHARTS = ("score", "valid")
MEASURES = ("other.mistakes_repeated", "score", "clip_rate", "copied", "shapes")
PROOF = "other.mistakes_repeated"
CAUSES = ("loss_on_prompt", "mixed_formats", "model_too_small", "outdated_facts", "teacher_errors")
NEEDS = ("data",)
HARMLESS = "Mistakes without a system mostly cancel out, and a check drops the rest."
_MOST_PASSED_ON = 0.4  # share of the teacher's mistakes that may come back


def rows(given: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return rows with the teacher's answers, checked as `verify` says; new rows stay as they are.

    The caller fills the places of dropped rows with further ones. Two drafts by the same teacher
    share its habit, so they always agree.
    """
    sold = set().union(*map(answer_items, given.train))
    taught = [replace(row, output=taught_answer(row)) for row in given.train]
    if config["verify"] == "items in the catalogue":
        taught = [row for row in taught if answer_items(row) <= sold]
    new = [replace(row, meta={**row.meta, "teacher": taught_answer(row)}) for row in given.new]
    return LabRows(tuple(taught), tuple(new))


def facts(rows: LabRows, texts: Sequence[str], config: Config) -> dict[str, float | None]:  # noqa: ARG001
    """Return the share of the teacher's mistakes on the new rows that the answers repeat."""
    told = [(row, text) for row, text in zip(rows.new, texts, strict=True) if "teacher" in row.meta]
    back = [repeats_mistake(text, row.meta["teacher"], row.output) for row, text in told]
    counted = [each for each in back if each is not None]
    return {"mistakes_repeated": fmean(counted) if counted else None}


def detect(runs: Runs) -> Detection:
    """Find that the model repeats more than .40 of the teacher's mistakes on new rows."""
    share = runs.own.other.get("mistakes_repeated")
    if share is None:
        return not_measured("no answers of a teacher to rows whose right answer is known")
    return judged(
        share, share > _MOST_PASSED_ON, f"{share:.0%} of the teacher's mistakes come back"
    )


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    share = own.other.get("mistakes_repeated")
    yield at_most("at most 15 % of the teacher's mistakes come back", share, 0.15, "%")
    yield near_twin(own, twin)
