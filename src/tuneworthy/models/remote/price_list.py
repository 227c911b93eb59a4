"""Look up dated list prices of remote models in `prices.toml`, and compute costs of requests."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tuneworthy.models.remote.endpoint import OPENAI
from tuneworthy.records.audit_report import Observation
from tuneworthy.records.errors import TaskError
from tuneworthy.records.model import Reply
from tuneworthy.records.record import canonical
from tuneworthy.records.task import PRICE_KEYS, Task, price_fault

Price = Mapping[str, Any]

FREE: Price = {"in": 0.0, "out": 0.0}  # of a server that the user runs

_KEYS_BESIDE_RATES = {"read", "source", "retires", "dated"}


class _Listed(NamedTuple):
    """The list price of one model: USD per million tokens, the day it was read, and its source.

    `rates` has in, out, and where they exist cached_in, cache_write and prompt_tokens (the longest
    prompt to which the price applies). `retires` is the announced end of the model, or None.
    """

    rates: dict[str, float]
    read: dt.date
    source: str
    retires: dt.date | None


def listed(name: str, url: str) -> _Listed | None:
    """Return the list price of a model at an address, None if none is known.

    A price applies only at its vendor's host, and to the snapshots listed with it.
    """
    for base, entry in _price_table().get(urlsplit(url).hostname or "", {}).items():
        if name in (base, *(f"{base}-{day}" for day in entry.get("dated", ()))):
            rates = {key: float(v) for key, v in entry.items() if key not in _KEYS_BESIDE_RATES}
            return _Listed(rates, entry["read"], entry["source"], entry.get("retires"))
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


_MODEL_KEYS = ("model", "bigger", "teacher")

OLD_PRICE_DAYS = 180  # days after which a list price is said to be old


def misspelt(task: Task) -> Iterator[Observation]:
    """Yield a warning for each model at the default endpoint that may be misspelt.

    A model with a price in task.yaml, or at another address, is not checked.
    """
    prices = task.economics.prices if task.economics and task.economics.prices else {}
    for key in _MODEL_KEYS:
        kind, _, name = (getattr(task, key) or "").partition(":")
        if kind != "openai" or "@" in name or name in prices or listed(name, OPENAI):
            continue
        if likely := closest_listed_name(name, OPENAI):
            text = f"`{key}: openai:{name}` has no list price here"
            fix = f"did you mean `openai:{likely}`? else write its price: economics.prices"
            yield Observation(kind="unlisted_model", level="warning", text=text, count=1, fix=fix)


def outdated(task: Task, today: dt.date | None = None) -> Iterator[Observation]:
    """Yield a warning for each model with an old list price, or that its vendor has ended.

    A model with a price in task.yaml has no warning about its list price. `today` None: the date
    of the clock.
    """
    today = today or dt.datetime.now(dt.UTC).date()
    prices = task.economics.prices if task.economics and task.economics.prices else {}
    for key in _MODEL_KEYS:
        kind, _, rest = (getattr(task, key) or "").partition(":")
        name, _, url = rest.partition("@")
        price = listed(name, url or OPENAI) if kind == "openai" else None
        if price is None:
            continue
        if price.retires is not None and price.retires <= today:
            text = f"`{key}: openai:{name}` was to end on {price.retires}, as its vendor told"
            fix = "name another model, or see whether it still answers"
            yield Observation(kind="ended_model", level="warning", text=text, count=1, fix=fix)
        days = (today - price.read).days
        if days > OLD_PRICE_DAYS and name not in prices:
            text = f"the list price of {name} was read on {price.read}, {days} days ago"
            fix = f"see whether it still holds, or write it: economics.prices ({price.source})"
            yield Observation(kind="old_price", level="warning", text=text, count=1, fix=fix)
