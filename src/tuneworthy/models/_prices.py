"""List prices of a few remote models, dated, from `prices.toml`. Asks nobody and knows no task."""

from __future__ import annotations

import datetime as dt
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_TOLD = {"read", "source", "retires", "dated"}


class Listed(NamedTuple):
    """The list price of one model: USD per million tokens, the day it was read, and where.

    `rates` has in, out, and where they exist cached_in, cache_write and prompt_tokens (above which
    it does not hold). `retires` is the announced end of the model, None where none was found.
    """

    rates: dict[str, float]
    read: dt.date
    source: str
    retires: dt.date | None


def listed(name: str, url: str) -> Listed | None:
    """Return the list price of a model at an address, None where none is known.

    A price holds for its vendor's own host alone, and for the snapshots that are listed with it.
    """
    for known, entry in _table().get(urlsplit(url).hostname or "", {}).items():
        if name in (known, *(f"{known}-{day}" for day in entry.get("dated", ()))):
            rates = {key: float(v) for key, v in entry.items() if key not in _TOLD}
            return Listed(rates, entry["read"], entry["source"], entry.get("retires"))
    return None


@lru_cache
def _table() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "prices.toml").read_text("utf-8"))
