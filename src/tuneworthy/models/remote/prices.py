"""List prices of a few remote models, dated, from `prices.toml`. Sends nothing, knows no task."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tuneworthy.core.endpoint_keys import PRICE_KEYS, price_fault
from tuneworthy.core.errors import TaskError
from tuneworthy.core.model import Reply
from tuneworthy.core.record import canonical

Price = Mapping[str, Any]
_NOT_RATES = {"read", "source", "retires", "dated"}


class Listed(NamedTuple):
    """The list price of one model: USD per million tokens, the day it was read, and its source.

    `rates` has in, out, and where they exist cached_in, cache_write and prompt_tokens (above which
    it does not apply). `retires` is the announced end of the model, None if none was found.
    """

    rates: dict[str, float]
    read: dt.date
    source: str
    retires: dt.date | None


def listed(name: str, url: str) -> Listed | None:
    """Return the list price of a model at an address, None if none is known.

    A price applies to its vendor's own host alone, and to the snapshots listed with it.
    """
    for base, entry in _table().get(urlsplit(url).hostname or "", {}).items():
        if name in (base, *(f"{base}-{day}" for day in entry.get("dated", ()))):
            rates = {key: float(v) for key, v in entry.items() if key not in _NOT_RATES}
            return Listed(rates, entry["read"], entry["source"], entry.get("retires"))
    return None


def listed_names(url: str) -> list[str]:
    """Return the names of the models at an address that have a list price."""
    return list(_table().get(urlsplit(url).hostname or "", {}))


def checked(price: Price, name: str) -> Price:
    """Return a valid price unchanged; raise TaskError for unknown keys and impossible amounts."""
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
    """Return the most that a request of `size` + `room` tokens can cost, None without a price."""
    if price is None or size > price.get("prompt_tokens", size):
        return None
    read, out = ("in", "cache_write", "cached_in"), Decimal(str(price.get("out", 0)))
    dearest = max(Decimal(str(price.get(name, 0))) for name in read)
    return (size * dearest + room * out) / 1_000_000


def cost(price: Price | None, reply: Reply) -> Decimal | None:
    """Return a reply's cost with reasoning, None if its price or its tokens are unknown."""
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
def _table() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "prices.toml").read_text("utf-8"))
