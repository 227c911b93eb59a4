"""Check the task.yaml keys of a model behind an endpoint: prices and request fields."""

from __future__ import annotations

import math
from typing import Any

PRICE_KEYS = ("in", "out", "cached_in", "cache_write", "prompt_tokens", "train")
PRICE_EXAMPLE = "{in: 0.4, out: 1.6}"
MAX_PRICE = 1e6  # USD per million tokens; the most expensive model known costs a few hundred
# Request fields that tuneworthy sets itself: they decide what is measured, or what it can cost.
OWN_FIELDS = (
    "model", "messages", "n", "best_of", "stream", "stream_options", "max_tokens",
    "max_completion_tokens", "max_output_tokens", "response_format",
)  # fmt: skip


def price_fault(key: str, value: Any) -> str:
    """Return what is wrong with one entry of a price, or ""."""
    if key not in PRICE_KEYS:
        return "a price has no such key"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a price must be a number"
    if not math.isfinite(value) or value < 0:
        return "a price must be 0 or more"
    if key == "prompt_tokens":
        return "" if value >= 1 and value == int(value) else "this must be a whole number above 0"
    return "" if value <= MAX_PRICE else "no model costs this much for a million tokens"
