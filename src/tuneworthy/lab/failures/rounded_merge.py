"""An adapter is merged into weights that are then rounded to four bits, and the answers change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean

from tuneworthy.lab.failures._conditions import at_least, near_twin
from tuneworthy.records.card import CardLook, CardTools, Sampling
from tuneworthy.records.failure import Check, Detection, Fix, LabSetup, RunFacts, Runs, judged

NUMBER, HARD = 24, 3
SLUG, TITLE = "changed-when-shipped", "It changed when we shipped it"
TASK, TRAINS, LOOKS = "support_tickets", False, 5
STORY = (
    "A small model learnt to turn support tickets into JSON, and its test went well. Once "
    "shipped, it gives other answers."
)
WIN = (
    "98 of 100 tokens are those that the trained model would choose, with a score at most .10 "
    "below the clean twin."
)
PLANTED = {"serve.merge": "int4"}
CLEAN = {"serve.merge": "adapter"}
KNOBS = {
    "serve.merge": ("adapter", "bfloat16", "int4"),
    "serve.schema": (False, True),
    "serve.temperature": (0.0, 0.7),
}
FIXES = (
    Fix({"serve.merge": "bfloat16"},
        "This passes: bfloat16 keeps 99.6 of 100 tokens. Four bits did not."),
    Fix({"serve.schema": True},
        "The grammar saves the form and the score. About one token in fifteen is still another"
        " one."),
    Fix({"serve.temperature": 0.7}, "Draws at random come on top of what the rounding changed."),
    Fix({"serve.schema": True, "serve.temperature": 0.7},
        "The form holds. Rounding and random draws both still change the values."),
)  # fmt: skip
CHARTS = ("same_tokens", "score")
MEASURES = ("same_tokens", "score", "valid", "ended", "length")
PROOF = "same_tokens"
CAUSES = ("adapter_not_served", "end_not_trained", "constrained_too_early",
          "other_template", "rounded_merge")  # fmt: skip
NEEDS = ("adapter",)
HARMLESS = "Rounding is harmless where the likeliest token leads by more than the rounding moves."
_SAME_TOKEN_SHARE = 0.98  # share of tokens that the trained and the served weights both choose


def answer(setup: LabSetup, tools: CardTools) -> Iterator[CardLook]:
    """Yield the served answers by groups, with the share of the trained model's tokens kept."""
    config = setup.config
    trained, served = (
        tools.with_trained_model("adapter"),
        tools.with_trained_model(str(config["serve.merge"])),
    )
    for number, rows in enumerate(tools.groups(), 1):
        prompts = [row.messages for row in rows]
        tested = [each.text for each in trained.reply(rows, prompts)]
        answers = served.reply(rows, prompts, Sampling.of(config))
        chosen = [each.likeliest_tokens(prompts, tested) for each in (trained, served)]
        same = [_equal_share(*each) for each in zip(*chosen, strict=True)]
        yield CardLook(
            f"group {number}",
            tuple(
                each.with_measures(same_tokens=share, same_answers=float(each.text == text))
                for each, text, share in zip(answers, tested, same, strict=True)
            ),
        )


def detect(runs: Runs) -> Detection:
    """Find served weights that choose another token than the trained ones at over .02 of places."""
    share = runs.own.other.get("same_tokens")
    found = share is not None and share < _SAME_TOKEN_SHARE
    return judged(share, found, f"{share or 0:.1%} of the trained model's tokens are chosen again",
                  "needs the adapter and the served weights")  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    share = own.other.get("same_tokens")
    yield at_least("98 of 100 tokens are the trained model's", share, _SAME_TOKEN_SHARE, of=100)
    yield near_twin(own, twin)


def _equal_share(one: Sequence[int], other: Sequence[int]) -> float:
    """Return the share of positions at which two token sequences are equal."""
    return fmean(a == b for a, b in zip(one, other, strict=True))
