"""Sixty things and the shelves they lie on: facts without a rule, which can only be memorised."""

from __future__ import annotations

from random import Random

from tuneworthy.core.case import Message
from tuneworthy.core.failure import LabRow, LabRows

THINGS = (
    "kettle", "toaster", "lamp", "fan", "tent", "rug", "stool", "chair", "desk", "sofa", "mirror",
    "clock", "radio", "printer", "camera", "drill", "hammer", "saw", "ladder", "bucket", "broom",
    "mop", "iron", "blender", "mixer", "scale", "pan", "pot", "bowl", "jug", "vase", "candle",
    "pillow", "blanket", "towel", "curtain", "carpet", "bench", "drawer", "basket", "suitcase",
    "backpack", "umbrella", "scarf", "glove", "hat", "boot", "sandal", "helmet", "bicycle",
    "scooter", "kayak", "paddle", "rope", "anchor", "compass", "telescope", "violin", "trumpet",
    "drum",
)  # fmt: skip
ASKS = (
    "Where is the {}?",
    "On which shelf do I find the {}?",
    "I need the {} now, where does it lie?",
    "Somebody asks for the {}. Which shelf?",
)
SYSTEM = "Name the shelf of the thing in our store."


def shelf_rows(seed: int) -> LabRows:
    """Return all things asked for in three wordings each, and again in a fourth as new."""
    rng = Random(f"shelves {seed}")
    things, asks = rng.sample(THINGS, len(THINGS)), len(ASKS)
    drawn = [(thing, _code(rng), rng.sample(ASKS, asks)) for thing in things]
    train = [_row(thing, code, ways[k]) for k in (0, 1, 2) for thing, code, ways in drawn]
    return LabRows(tuple(train), tuple(_row(thing, code, ways[3]) for thing, code, ways in drawn))


def _code(rng: Random) -> str:
    return f"{rng.choice('BCDFGHKL')}{rng.choice('MNPRSTVW')}-{rng.randrange(10, 100)}"


def _row(thing: str, code: str, way: str) -> LabRow:
    turns = (Message(role="system", content=SYSTEM),
             Message(role="user", content=way.format(thing)))  # fmt: skip
    return LabRow(f"{thing} {ASKS.index(way)}", turns, code)
