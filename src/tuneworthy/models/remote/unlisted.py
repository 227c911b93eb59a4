"""Find typing errors: names of hosted models without a list price, close to a listed name."""

from __future__ import annotations

from collections.abc import Iterator

from tuneworthy.core.audit_report import Observation
from tuneworthy.core.task import Task
from tuneworthy.models.remote.endpoint import OPENAI
from tuneworthy.models.remote.prices import closest_listed_name, listed

_KEYS = ("model", "bigger", "teacher")


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
