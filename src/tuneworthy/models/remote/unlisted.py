"""Check hosted models against the price list: misspelt names, prices that may be out of date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.task import Task
from tuneworthy.models.remote.endpoint import OPENAI
from tuneworthy.models.remote.prices import closest_listed_name, listed

_KEYS = ("model", "bigger", "teacher")
OLD_DAYS = 180  # days after which a list price is said to be old


def misspelt(task: Task) -> Iterator[Observation]:
    """Yield a warning for each model at the default endpoint that may be misspelt.

    A model with a price in task.yaml, or at another address, is not checked.
    """
    prices = task.economics.prices if task.economics and task.economics.prices else {}
    for key in _KEYS:
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
    for key in _KEYS:
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
        if days > OLD_DAYS and name not in prices:
            text = f"the list price of {name} was read on {price.read}, {days} days ago"
            fix = f"see whether it still holds, or write it: economics.prices ({price.source})"
            yield Observation(kind="old_price", level="warning", text=text, count=1, fix=fix)
