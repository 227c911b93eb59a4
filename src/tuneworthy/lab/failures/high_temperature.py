"""Answers are sampled at a temperature at which unlikely tokens break the form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tuneworthy.lab.failures._conditions import at_least, difference, near_twin
from tuneworthy.records.card import CardAnswer, CardLook, CardTools, Sampling
from tuneworthy.records.failure import Check, Detection, Fix, LabSetup, RunFacts, Runs, judged

NUMBER, HARD = 22, 1
SLUG, TITLE = "form-melts", "A little more variety, and the form melts"
TASK, TRAINS, LOOKS = "support_tickets", False, 5
STORY = (
    "A small model learnt to turn support tickets into JSON, and at the first level of the chart "
    "nearly every answer parses. The same model answers the same tickets at the last level, and "
    "many answers no longer do."
)
WIN = (
    "The share of valid answers is at most .05 below the clean twin's, the score at most .10 below."
)
PLANTED = {"serve.temperature": 1.3}
CLEAN = {"serve.temperature": 0.0, "serve.top_p": 1.0}
KNOBS = {
    "serve.temperature": (0.0, 0.3, 0.7, 1.0, 1.3),
    "serve.top_p": (0.5, 0.9, 1.0),
    "serve.schema": (False, True),
}
FIXES = (
    Fix({"serve.temperature": 1.0},
        "The form holds again. The content does not: likely tokens are still passed over too"
        " often."),
    Fix({"serve.temperature": 0.7}, "This passes: at .7 form and content hold on these 40 rows."),
    Fix({"serve.top_p": 0.5},
        "This mends it too: only the likeliest tokens are drawn, at the same temperature."),
    Fix({"serve.schema": True},
        "Every answer has the form now. The values are still drawn at random."),
)  # fmt: skip
CHARTS = ("valid", "score")
MEASURES = ("valid", "score", "length", "first_valid", "first_score")
PROOF = "valid"
CAUSES = ("constrained_too_early", "end_not_trained", "high_temperature",
          "other_template", "rounded_merge")  # fmt: skip
NEEDS: tuple[str, ...] = ()
HARMLESS = "A grammar keeps the form at any temperature; drafts and stories gain from variety."
_LOST_SHARE = 0.15  # share of valid answers lost from greedy decoding to the served temperature


def answer(setup: LabSetup, tools: CardTools) -> Iterator[CardLook]:
    """Yield the answers at five temperatures, from greedy to the one that is served."""
    model, served = tools.with_trained_model("adapter"), Sampling.of(setup.config)
    prompts, answers = [row.messages for row in tools.rows.new], tuple[CardAnswer, ...]()
    for level in range(LOOKS):
        heat = served.temperature * level / (LOOKS - 1)
        if heat or not answers:  # at temperature 0 the first answers are used again
            how = replace(served, temperature=heat)
            answers = tuple(model.reply(tools.rows.new, prompts, how))
        yield CardLook(f"setting {level + 1}", answers)


def detect(runs: Runs) -> Detection:
    """Find a valid share .15 or more below that of greedy decoding on the same rows."""
    valid, greedy = runs.own.valid, runs.own.other.get("first_valid")
    lost = difference(greedy, valid)
    found = lost is not None and lost >= _LOST_SHARE
    return judged(lost, found, f"valid {valid or 0:.0%} as served, {greedy or 0:.0%} at T 0",
                  "needs answers at two temperatures")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    least = (twin.valid or 0.0) - 0.05
    yield at_least(f"at least {100 * least:.0f} % of the answers are valid", own.valid, least, "%")
    yield near_twin(own, twin)
