"""A grammar forces the form of an answer that the model, left to itself, would never begin."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean

from tuneworthy.lab.failures._conditions import at_least, near_twin
from tuneworthy.records.card import CardLook, CardTools, Sampling, with_examples
from tuneworthy.records.failure import Check, Detection, Fix, LabSetup, RunFacts, Runs, judged

NUMBER, HARD = 19, 2
SLUG, TITLE = "always-valid", "Always valid, often wrong"
TASK, TRAINS, LOOKS = "support_tickets", False, 5
STORY = (
    "A small model turns support tickets into JSON. Every answer fits the schema. Hardly one of "
    "them says what the ticket says."
)
WIN = (
    "All 40 answers valid, legal tokens have at least half of the model's own probability, and a "
    "score at most .10 below the clean twin."
)
PLANTED = {"shots": 0}
CLEAN = {"shots": 8, "serve.schema": True}
KNOBS = {"serve.schema": (True, False), "shots": (0, 1, 2, 4, 8), "serve.temperature": (0.0, 0.7)}
FIXES = (
    Fix({"serve.schema": False},
        "Without the grammar nothing parses. It hid that the model does not write this form by"
        " itself."),
    Fix({"shots": 1}, "One example teaches the form. It is too little for the content."),
    Fix({"shots": 2},
        "This passes, narrowly: two examples teach the form, and the score just holds."),
    Fix({"shots": 4}, "This mends it too: four examples show the form and the content."),
    Fix({"serve.temperature": 0.7},
        "Draws at random change the words. The grammar still forces a form that the model finds"
        " unlikely."),
)  # fmt: skip
CHARTS = ("legal_first", "score")
MEASURES = ("legal_first", "score", "valid", "length", "first_score")
PROOF = "legal_first"
CAUSES = ("adapter_not_served", "constrained_too_early", "high_temperature",
          "other_template", "rounded_merge")  # fmt: skip
NEEDS: tuple[str, ...] = ()
HARMLESS = "A grammar costs nothing where the model would write that form anyway."
# Below this probability of a legal first token the grammar forces an unlikely form.
_LEAST_LEGAL_PROBABILITY = 0.1


def answer(setup: LabSetup, tools: CardTools) -> Iterator[CardLook]:
    """Yield the answers by groups of rows, with the model's own probability of legal tokens."""
    config = setup.config
    examples = tools.rows.train[: int(config["shots"] or 0)]
    for number, rows in enumerate(tools.groups(), 1):
        prompts = [with_examples(row, examples) for row in rows]
        answers = tools.reply(rows, prompts, Sampling.of(config))
        masses = tools.legal_mass(prompts, [each.text for each in answers])
        yield CardLook(
            f"group {number}",
            tuple(
                each.with_measures(legal_first=mass[0], legal_mean=fmean(mass))
                for each, mass in zip(answers, masses, strict=True)
            ),
        )


def detect(runs: Runs) -> Detection:
    """Find answers whose legal first tokens have less than .10 of the model's own probability."""
    mass = runs.own.other.get("legal_first")
    found = mass is not None and mass < _LEAST_LEGAL_PROBABILITY and (runs.own.valid or 0.0) > 0.5
    return judged(mass, found, f"legal first tokens have {mass or 0:.3f} of the probability",
                  "needs the model's probabilities")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    mass = own.other.get("legal_first")
    yield at_least("legal first tokens have at least 50 % of the probability", mass, 0.5, "%")
    yield at_least("all answers are valid", own.valid, 1.0, "%")
    yield near_twin(own, twin)
