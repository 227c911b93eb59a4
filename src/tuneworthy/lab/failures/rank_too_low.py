"""The adapter has too few parameters for what the rows hold: rank 1 on one matrix of one layer."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.lab.failures._conditions import at_least, at_most, difference, near_twin
from tuneworthy.lab.failures._rows import invented_town_rows
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

NUMBER, HARD = 3, 3
SLUG, TITLE = "hardly-learns", "Sixteen readings, and it hardly learns"
TASK = "policy_faq"  # for its metric and short answers; `rows` returns the rows
STORY = (
    "A small model reads 40 facts sixteen times: in which country of a novel each town lies. Its "
    "weights move further than the clean twin's. Yet the training loss hardly falls."
)
WIN = (
    "36 of 40 countries are right, the loss ends below .1, and the score is at most .10 below the "
    "twin."
)
PLANTED: Config = {"rank": 1, "targets": "15.self_attn.k_proj"}
CLEAN: Config = {"rank": 16, "targets": "all-linear", "rows": 40, "epochs": 16}
KNOBS = {
    "rank": (1, 4, 16),
    "targets": ("15.self_attn.k_proj", "q_proj v_proj", "all-linear"),
    "epochs": (4, 8, 16),
    "rate": (1e-5, 1e-3, 3e-2),
    "max_length": (64, 512),
}
FIXES = (
    Fix({"rank": 16},
        "A larger adapter on one matrix of one layer: the loss falls a little more, no town is"
        " learnt."),
    Fix({"targets": "q_proj v_proj"},
        "More matrices help more than rank. Rank 1 in each is still too little for 40 towns."),
    Fix({"targets": "all-linear"},
        "Rank 1 on every matrix learns eight of 40 towns in sixteen readings."),
    Fix({"rate": 3e-2}, "Larger steps turn the few numbers further. They hold no more for that."),
)  # fmt: skip
CHARTS = ("score", "length")
MEASURES = ("parameters", "change", "clip_rate", "p_end", "outliers")
PROOF = "parameters"
CAUSES = ("narrow_rows_forget", "rank_too_low", "rate_too_low", "teacher_errors", "wrong_labels")
NEEDS = ("log", "adapter", "data", "tokenizer")
HARMLESS = "A small regular task, a label or a layout, needs no more than rank 1."
# Parameters for each answer token, without and with a clean twin; loss in nats a token.
LEAST_PARAMETERS, LEAST_BESIDE_TWIN, LOSS_FLOOR = 1.0, 5.0, 0.5


def rows(rows: LabRows, config: Config, seed: int) -> LabRows:  # noqa: ARG001
    """Return 40 training rows on countries of invented towns, and the same reworded as new rows."""
    return LabRows(tuple(invented_town_rows(seed, 40, 0)), tuple(invented_town_rows(seed, 40, 1)))


def detect(runs: Runs) -> Detection:
    """Find few parameters per answer token and a training loss that stays high.

    A loss that ends far above its lowest was driven up: it says nothing of the size.
    """
    own, twin = runs.own, runs.twin
    if not own.parameters or not own.answer_tokens:
        return not_measured("no adapter, or no data file and tokenizer")
    each = own.parameters / own.answer_tokens
    gap = own.loss_last if twin is None else difference(own.loss_last, twin.loss_last)
    least = LEAST_PARAMETERS if twin is None else LEAST_BESIDE_TWIN
    rise = difference(own.loss_last, own.loss_least)
    explained = ""
    if each < least and gap is not None and gap <= LOSS_FLOOR:
        explained = f"the training loss ends at {own.loss_last:.2f} nats: so few suffice here"
    elif each < least and twin is None and rise is not None and rise >= LOSS_FLOOR:
        explained = f"the loss rose {rise:.2f} nats from its lowest: see rate too high"
    return judged(
        each, each < least and not explained, f"{each:.2g} parameters for each answer token",
        limit=f"a failure below {least:g}, with a training loss that stays over {LOSS_FLOOR} nats",
        explained=explained,
    )  # fmt: skip


def victory(own: RunFacts, twin: RunFacts) -> Iterator[Check]:
    """Yield the checks that a repaired run must pass, from its facts and its twin's."""
    yield at_least("36 of 40 countries are right", own.score, 0.9, of=40)
    yield at_most("the loss ends below .1", own.loss_last, 0.1)
    yield near_twin(own, twin)
