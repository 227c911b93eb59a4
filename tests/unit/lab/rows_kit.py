"""Rows of a tiny tokenizer for tests of the lab: nothing is fetched, no model is opened."""

import random
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from tuneworthy.records.case import Message
from tuneworthy.records.failure import DEFAULTS, LabRow

SYSTEM = "Answer with a JSON object."
END = "<|im_end|>"
WORDS = ("router", "refund", "late", "broken", "Ann", "laptop", "today", "help", "week", "phone")


@cache
def tokenizer():
    """Return a byte-level tokenizer with a template of turns that end with END."""
    from models_kit import tiny_tokenizer

    return tiny_tokenizer()


def row(number, text, answer, system=SYSTEM):
    """Return a row of one question."""
    lead = [Message(role="system", content=system)] if system else []
    return LabRow(f"row {number}", (*lead, Message(role="user", content=text)), answer)


def drawn(count=8, seed=0):
    """Return rows with questions and answers of 2 to 12 random words."""
    rng = random.Random(f"rows {seed}")

    def words():
        return " ".join(rng.choices(WORDS, k=rng.randint(2, 12)))

    return [row(k, words(), words()) for k in range(count)]


def config(**changes):
    """Return the default configuration with some keys changed; `serve_x` stands for `serve.x`."""
    return {**DEFAULTS, **{key.replace("serve_", "serve."): changes[key] for key in changes}}
