"""Refuse a study without cost cap, and write a plan's sentences on prices and commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tuneworthy.arms.prompt.messages import common_system
from tuneworthy.models import is_paid
from tuneworthy.models.remote.endpoint import name_and_url
from tuneworthy.records.case import Case
from tuneworthy.records.errors import TaskError
from tuneworthy.records.escape import quoted
from tuneworthy.records.plan import PlannedArm
from tuneworthy.records.specs import specs, trainer_command
from tuneworthy.records.task import PRICE_EXAMPLE, Task
from tuneworthy.records.tokens import text_tokens
from tuneworthy.store.purse import SpendingCap

PASSES = 3  # over the rows, by default of an adapter


def refuse_uncapped(task: Task, purse: SpendingCap | None, models: Iterable[str]) -> None:
    """Raise TaskError for a remote model without a cost cap, before anything is sent.

    So does a command of the task's: no cap limits it, and the task may come from somebody else.
    """
    if commands := {trainer_command(spec.options) for spec in specs(task)} - {""}:
        raise TaskError(
            "this study runs commands of task.yaml, and no cap limits what they cost",
            where="task.yaml arms: trainer", got="; ".join(sorted(commands)),
            fix="read them, then allow them with --pay",
        )  # fmt: skip
    if purse is None or purse.cap_usd is not None:
        return
    if paid := sorted({spec for spec in models if is_paid(spec)}):
        raise TaskError(
            "an endpoint has no cap on what it may cost", where="task.yaml budget.usd",
            got=", ".join(paid), fix="set budget.usd, or --pay (a server of yours may be free)",
        )  # fmt: skip


def command_notes(arms: Sequence[PlannedArm]) -> tuple[str, ...]:
    """Return a sentence for each arm that a command trains: how often, and that it may cost."""
    return tuple(
        f"your command trains `{arm.spec.name}` {len(arm.folds) * len(arm.seeds)} times, and once"
        f" or more for its placebo; what that costs is not counted: {quoted(command, 200)}"
        for arm in arms
        if (command := trainer_command(arm.spec.options)) and not arm.because
    )


def price_notes(task: Task, cases: Sequence[Case], unpriced: Mapping[str, str]) -> tuple[str, ...]:
    """Return sentences on models without a price, and on tuning a paid model at its vendor.

    `unpriced` maps a model without a price to the listed model of a similar name, or "".
    """
    return (*map(_no_price_note, unpriced, unpriced.values()), *_hosted_tune_note(task, cases))


def _no_price_note(name: str, near: str) -> str:
    hint = f"did you mean `{near}`? Else " if near else ""
    key = f"economics.prices: {{{quoted(name, 60)}: {PRICE_EXAMPLE}}}"
    return f"`{quoted(name, 60)}` has no price: {hint}write {key}, USD per million tokens"


def _hosted_tune_note(task: Task, cases: Sequence[Case]) -> Iterator[str]:
    """Yield a sentence on the tokens and price of tuning a paid base model at its vendor.

    The vendor trains on the rows as they stand, not on a prompt of ours.
    """
    if not is_paid(task.model) or task.decider == task.model or task.tune or not cases:
        return
    name = name_and_url(task.model)[0]
    lead = common_system(cases)
    texts = [m.content for case in cases for m in case.messages if m not in lead]
    size = sum(map(text_tokens, texts)) + sum(text_tokens(case.output) for case in cases)
    repeated = sum(text_tokens(m.content) for m in lead) * len(cases)
    tokens = size + repeated
    part = (
        f" (about {_rounded(repeated)} of them the system prompt, once a row)" if repeated else ""
    )
    sentence = f"a tune of `{quoted(name, 60)}` at its vendor reads about {_rounded(tokens)} tokens"
    sentence += f"{part} for each pass over your {len(cases):,} rows; its vendor sets how many"
    sentence += f" (in {PASSES}: {_rounded(PASSES * tokens)})"
    price: Any = task.economics.prices.get(name)
    rate = price.get("train") if isinstance(price, dict) else None
    if rate is None:
        yield (
            f"{sentence}; no training price is shipped: give it as `train` in"
            f" economics.prices.{quoted(name, 60)} (USD per million tokens)"
        )
        return
    usd = f"${PASSES * tokens * float(rate) / 1e6:.2g}"
    yield f"{sentence}: about {usd} in {PASSES} passes at your price of ${rate:g} a million"


def _rounded(tokens: float) -> str:
    """Return an estimated token count as text, rounded to two digits: it is no more precise."""
    whole = round(tokens)
    return f"{round(whole, 2 - len(str(whole))):,}"
