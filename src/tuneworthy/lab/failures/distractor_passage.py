"""The prompt holds passages on similar rules, and the answer is taken from a wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneworthy.lab.failures._conditions import at_most, near_twin
from tuneworthy.lab.failures._rows import document_id, first_number, rows_by_subject
from tuneworthy.records.card import (
    CardAnswer,
    CardLook,
    CardTools,
    Passage,
    Sampling,
    with_passages,
)
from tuneworthy.records.failure import (
    Check,
    Config,
    Detection,
    Fix,
    LabSetup,
    RunFacts,
    Runs,
    judged,
)

NUMBER, HARD = 21, 1
SLUG, TITLE = "wrong-page", "It read the wrong page"
TASK, TRAINS, LOOKS = "policy_faq", False, 5
STORY = (
    "A small model answers questions on office rules. The search puts the right passage into the "
    "prompt for nearly every question. The numbers still come out wrong."
)
WIN = (
    "At most .05 of the numbers come from another passage, and the score is at most .10 below the "
    "clean twin."
)
PLANTED: Config = {"k": 4}
CLEAN: Config = {"k": 1, "order": "best first", "index": "in force"}
KNOBS = {
    "k": (1, 2, 4, 8),
    "order": ("best first", "best last"),
    "index": ("in force", "all versions"),
    "serve.temperature": (0.0, 0.7),
}
FIXES = (
    Fix({"order": "best last"},
        "The right passage stands last now. A fifth of the numbers still come from another one."),
    Fix({"k": 2}, "One rival is enough: two thirds of the numbers come from it."),
    Fix({"k": 8}, "More rivals: more numbers from the wrong page, and fewer answers that end."),
    Fix({"index": "all versions"},
        "Old versions of a rule are the most alike rivals: six in ten numbers come from another"
        " page."),
    Fix({"serve.temperature": 0.7},
        "Draws at random take the wrong page more often, and fewer answers end."),
)  # fmt: skip
CHARTS = ("copied_other", "score")
MEASURES = ("copied_other", "recall", "ended", "length", "in_no_passage")
PROOF = "copied_other"
CAUSES = ("constrained_too_early", "distractor_passage", "high_temperature",
          "judge_order", "stale_passage")  # fmt: skip
NEEDS: tuple[str, ...] = ()
HARMLESS = "Passages on another subject are not copied from; only similar ones compete."
rows = rows_by_subject


def answer(setup: LabSetup, tools: CardTools) -> Iterator[CardLook]:
    """Yield the answers by groups of rows, with whether a wrong number is in another passage."""
    config = setup.config
    dated, k = config["index"] == "in force", int(config["k"] or 1)
    for number, rows in enumerate(tools.groups(), 1):
        found = tools.search(rows, k, dated)
        shown = [list(reversed(each)) if config["order"] == "best last" else each for each in found]
        prompts = [with_passages(row, each) for row, each in zip(rows, shown, strict=True)]
        answers = tools.reply(rows, prompts, Sampling.of(config))
        read = [
            _score_answer(each, passages) for each, passages in zip(answers, found, strict=True)
        ]
        yield CardLook(f"group {number}", tuple(read))


def detect(runs: Runs) -> Detection:
    """Find that .20 or more of the numbers are wrong and come from another passage."""
    share = runs.own.other.get("copied_other")
    found = share is not None and share >= 0.2
    return judged(share, found, f"{share or 0:.0%} of the numbers stand in another passage",
                  "needs the passages of each prompt")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    share = own.other.get("copied_other")
    yield at_most("at most 5 % of the numbers come from another passage", share, 0.05, "%")
    yield near_twin(own, twin)


def _score_answer(each: CardAnswer, found: Sequence[Passage]) -> CardAnswer:
    """Return an answer scored by its first number, with whether another passage states it."""
    row, said, right = each.row, first_number(each.text), first_number(each.row.output)
    doc = document_id(row)
    others = {first_number(passage.text) for passage in found if passage.doc != doc}

    def share(stands: bool) -> float | None:
        return None if said is None else float(said != right and stands)

    return CardAnswer(
        row, each.text, each.ended, each.tokens, score=float(said == right), valid=said is not None
    ).with_measures(
        copied_other=share(said in others),
        in_no_passage=share(said not in others),
        recall=float(any(passage.doc == doc for passage in found)),
    )
