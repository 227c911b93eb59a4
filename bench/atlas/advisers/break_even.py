"""The break-even formula: tune if a hosted model's bill pays for training and hosting in a year.

c_hosted = (in * prompt tokens + out * answer tokens) / 1e6       with k examples in the prompt
c_own    = machine hour / (3600 * requests a second)              a tuned small model, no examples
tune if  months * requests * (c_hosted - c_own) > training + months * hosting
"""

from __future__ import annotations

from statistics import fmean
from typing import NamedTuple

from bench.atlas.advice_input import AdviceInput, certain

from tuneworthy.models.remote.price_list import listed

LABEL = "break-even formula"
HOSTED_MODEL, HOSTED_URL = "gpt-4o-mini", "https://api.openai.com/v1"


class Assumed(NamedTuple):
    """What the formula assumes, because the input does not say it. None of it was measured."""

    requests_a_month: float = 100_000
    months: float = 12
    examples: int = 8
    letters_a_token: float = 4
    machine_hour: float = 1.0
    requests_a_second: float = 5
    hours_to_train_1k_rows: float = 1
    engineer_hours: float = 40
    engineer_hour: float = 90
    hosting_month: float = 100


ASSUMED = Assumed()
SEES = "the lengths of the instruction and of the ten rows, and the number of rows"
BLIND = "quality: it takes both to be equally good; all its probability is on one tool"
ASSUMES = f"not measured: the list price of {HOSTED_MODEL}, " + ", ".join(
    f"{name.replace('_', ' ')} {value:,g}" for name, value in ASSUMED._asdict().items()
)


def advise(shown: AdviceInput) -> dict[str, float] | None:
    """Return all probability on `tune` if it pays, else on `prompt`; None without rows or price."""
    price = listed(HOSTED_MODEL, HOSTED_URL)
    if price is None or not shown.rows:
        return None
    tell = fmean(len(row.input) for row in shown.rows) / ASSUMED.letters_a_token
    reply = fmean(len(row.output) for row in shown.rows) / ASSUMED.letters_a_token
    prompt = len(shown.instruction) / ASSUMED.letters_a_token + tell
    prompt += ASSUMED.examples * (tell + reply)
    hosted = (price.rates["in"] * prompt + price.rates["out"] * reply) / 1e6
    own = ASSUMED.machine_hour / (3600 * ASSUMED.requests_a_second)
    saved = ASSUMED.months * ASSUMED.requests_a_month * (hosted - own)
    training = ASSUMED.hours_to_train_1k_rows * shown.n / 1000 * ASSUMED.machine_hour
    building = training + ASSUMED.engineer_hours * ASSUMED.engineer_hour
    pays = saved > building + ASSUMED.months * ASSUMED.hosting_month
    return certain("tune" if pays else "prompt")
