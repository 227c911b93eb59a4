"""One passage is read from an index that still holds outdated versions of the rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuneworthy.lab.failures._conditions import at_least
from tuneworthy.lab.failures._rows import (
    document_id,
    edition_number,
    number_and_unit,
    rows_after_change,
    rule_id,
)
from tuneworthy.records.card import CardAnswer, CardLook, CardTools, Passage
from tuneworthy.records.failure import (
    Check,
    Config,
    Detection,
    Fix,
    LabRow,
    LabSetup,
    RunFacts,
    Runs,
    judged,
)

NUMBER, HARD = 20, 1
SLUG, TITLE = "out-of-date", "Confident, and out of date"
TASK, TRAINS, LOOKS = "policy_faq", False, 5
STORY = (
    "A search finds the rule that fits a question, and the answer is copied from it. The answers "
    "come from the right rule of the right office, and many are wrong."
)
WIN = "The passage in force is found for 38 of 40 questions, and 38 of 40 answers are right."
_INDEXES = ("all versions", "in force")
PLANTED: Config = {"index": "all versions"}
CLEAN: Config = {"k": 1, "index": "in force", "newest_first": False}
KNOBS = {"k": (1, 2, 4, 8), "index": _INDEXES, "newest_first": (False, True)}
FIXES = (
    Fix({"k": 4}, "The rule in force is now among the passages, and the first one is still read."),
    Fix({"k": 8}, "More passages, the same reading: the first one, whatever its date."),
    Fix({"newest_first": True},
        "The newest of one passage is that passage. The search has to return more of them."),
    Fix({"k": 8, "newest_first": True},
        "This mends it too: eight passages are found, and the newest version of the rule is"
        " read."),
)  # fmt: skip
CHARTS = ("stale", "score")
MEASURES = ("stale", "recall", "score", "score_kept", "other_rule")
PROOF = "stale"
CAUSES = ("distractor_passage", "high_temperature", "model_too_small",
          "outdated_facts", "stale_passage")  # fmt: skip
NEEDS: tuple[str, ...] = ()
HARMLESS = "Where each rule has one current version, one passage without a date is enough."
rows = rows_after_change


def answer(setup: LabSetup, tools: CardTools) -> Iterator[CardLook]:
    """Yield the answers by groups of rows: number and unit copied from the passage that is read."""
    dated, k = setup.config["index"] == "in force", int(setup.config["k"] or 1)
    for number, asked in enumerate(tools.groups(), 1):
        found = tools.search(asked, k, dated)
        pairs = zip(asked, found, strict=True)
        read = [_copied_answer(row, passages, bool(setup.config["newest_first"]))
                for row, passages in pairs]  # fmt: skip
        yield CardLook(f"group {number}", tuple(read))


def detect(runs: Runs) -> Detection:
    """Find that .20 or more of the answers come from passages out of force on the row's day."""
    share = runs.own.other.get("stale")
    found = share is not None and share >= 0.2
    return judged(share, found, f"{share or 0:.0%} of the answers come from a passage out of force",
                  "needs documents with dates")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:  # noqa: ARG001
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    yield at_least("38 of 40 passages in force are found", own.other.get("recall"), 0.95, of=40)
    yield at_least("38 of 40 answers are right", own.score, 0.95, of=40)


def _copied_answer(row: LabRow, found: Sequence[Passage], newest_first: bool) -> CardAnswer:
    read = found[0] if found else Passage("", "", "")
    if newest_first:  # of the editions of this rule that were found
        same = [each for each in found if each.title == read.title]
        read = max(same, key=lambda each: each.since or "", default=read)
    text = number_and_unit(read.text)
    right = float(text == row.output)
    return CardAnswer(row, text, score=right, valid=bool(text)).with_measures(
        stale=float(not read.in_force(str(row.meta["time"]))),
        recall=float(any(each.doc == document_id(row) for each in found)),
        other_rule=float(rule_id(read.doc) != rule_id(document_id(row))),
        score_kept=right if edition_number(row) == 1 else None,
    )
