"""Look up dated list prices of remote models in `prices.toml`, and compute costs of requests."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tuneworthy.core.endpoint_keys import PRICE_KEYS, price_fault
from tuneworthy.core.errors import TaskError
from tuneworthy.core.model import Reply
from tuneworthy.core.record import canonical

Price = Mapping[str, Any]
FREE: Price = {"in": 0.0, "out": 0.0}  # of a server that the user runs
_KEYS_BESIDE_RATES = {"read", "source", "retires", "dated"}


class Listed(NamedTuple):
    """The list price of one model: USD per million tokens, the day it was read, and its source.

    `rates` has in, out, and where they exist cached_in, cache_write and prompt_tokens (the longest
    prompt to which the price applies). `retires` is the announced end of the model, or None.
    """

    rates: dict[str, float]
    read: dt.date
    source: str
    retires: dt.date | None


def listed(name: str, url: str) -> Listed | None:
    """Return the list price of a model at an address, None if none is known.

    A price applies only at its vendor's host, and to the snapshots listed with it.
    """
    for base, entry in _price_table().get(urlsplit(url).hostname or "", {}).items():
        if name in (base, *(f"{base}-{day}" for day in entry.get("dated", ()))):
            rates = {key: float(v) for key, v in entry.items() if key not in _KEYS_BESIDE_RATES}
            return Listed(rates, entry["read"], entry["source"], entry.get("retires"))
    return None


def closest_listed_name(name: str, url: str) -> str:
    """Return the listed name at an address that is most similar to `name`, "" if none is."""
    known = list(_price_table().get(urlsplit(url).hostname or "", {}))
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.8)), "")


def checked(price: Price, name: str) -> Price:
    """Return the price if it is valid; raise TaskError for unknown keys and impossible amounts."""
    if not isinstance(price, Mapping):
        price = {"in": price}
    for key, value in price.items():
        if why := price_fault(key, value):
            raise TaskError(
                why,
                where=f"task.yaml: economics.prices.{name}.{key}",
                got=str(value),
                fix=f"write USD per million tokens under {', '.join(PRICE_KEYS)}",
            )
    if not {"in", "out"} <= set(price):
        raise TaskError(
            "a price needs `in` and `out`, USD per million tokens",
            where=f"task.yaml: economics.prices.{name}",
            got=canonical(dict(price)),
        )
    return price


def worst_case_cost(price: Price | None, size: int, room: int) -> Decimal | None:
    """Return the highest cost (USD) of `size` + `room` tokens, None without a price."""
    if price is None or size > price.get("prompt_tokens", size):
        return None
    read, out = ("in", "cache_write", "cached_in"), Decimal(str(price.get("out", 0)))
    dearest = max(Decimal(str(price.get(name, 0))) for name in read)
    return (size * dearest + room * out) / 1_000_000


def cost(price: Price | None, reply: Reply) -> Decimal | None:
    """Return a reply's cost (USD) with reasoning, None if its price or tokens are unknown."""
    if price is None or reply.tokens_in is None or reply.tokens_out is None:
        return None
    if reply.tokens_in > price.get("prompt_tokens", reply.tokens_in):
        return None
    rate = {name: Decimal(str(value)) for name, value in price.items()}
    cached = reply.tokens_cached or 0
    full = (reply.tokens_in - cached) * rate.get("in", Decimal(0))
    part = cached * rate.get("cached_in", rate.get("in", Decimal(0)))
    return (full + part + reply.tokens_out * rate.get("out", Decimal(0))) / 1_000_000


@lru_cache
def _price_table() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "prices.toml").read_text("utf-8"))
