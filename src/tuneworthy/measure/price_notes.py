"""List what may cost money, and write the sentences of a plan on prices and hosted training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tuneworthy.core.arm import Sizes
from tuneworthy.core.case import Case
from tuneworthy.core.endpoint_keys import PRICE_EXAMPLE
from tuneworthy.core.escape import quoted
from tuneworthy.core.plan import PlannedArm
from tuneworthy.core.run import Spec
from tuneworthy.core.specs import specs, trainer_address
from tuneworthy.core.task import Task
from tuneworthy.core.token_estimate import text_tokens
from tuneworthy.models import is_paid
from tuneworthy.models.remote.endpoint import on_this_machine
from tuneworthy.prompting.messages import common_system

PASSES = 3  # over the rows, by default of an adapter


def paid_names(task: Task, models: Iterable[str]) -> list[str]:
    """Return the models and the training APIs of a task that may cost money."""
    trainers = {address for address in map(_trainer_of, specs(task)) if address}
    away = {address for address in trainers if not on_this_machine(address)}
    return sorted({spec for spec in models if is_paid(spec)} | away)


def trainer_notes(task: Task, arms: Sequence[PlannedArm], sizes: Sizes) -> tuple[str, ...]:
    """Return a sentence for each arm that trains at an API: its tokens, and their price."""
    out = []
    for arm in arms:
        if not (address := _trainer_of(arm.spec)) or arm.because:
            continue
        options = arm.spec.options
        rows = min(sizes.train, int(options.get("rows") or sizes.train))
        epochs = int(options.get("epochs", PASSES))
        runs = len(arm.folds) * len(arm.seeds)
        tokens = epochs * rows * (sizes.shared + sizes.own + sizes.answer) * runs
        name = str(options.get("trainer_model") or task.tune or task.model).removeprefix("hf:")
        sentence = (
            f"{arm.spec.name} trains at {quoted(address, 60)}: about {_rounded(tokens)} tokens"
        )
        price: Any = task.economics.prices.get(name.partition("@")[0])
        rate = price.get("train") if isinstance(price, dict) else None
        if rate is not None:
            sentence += f", ${tokens * float(rate) / 1e6:.2g} at your price of ${rate:g} a million"
        elif not on_this_machine(address):
            sentence += f"; give their price as `train` in economics.prices.{quoted(name, 60)}"
        out.append(sentence)
    return tuple(out)


def _trainer_of(spec: Spec) -> str:
    return trainer_address(spec.options)


def price_notes(task: Task, cases: Sequence[Case], unpriced: Mapping[str, str]) -> tuple[str, ...]:
    """Return the sentences on prices.

    `unpriced` maps a model without a price to the listed model of a similar name, or "".
    """
    lacking = [_no_price_note(name, near) for name, near in unpriced.items()]
    return (*lacking, *_hosted_tune_note(task, cases))


def _no_price_note(name: str, near: str) -> str:
    hint = f"did you mean `{near}`? Else " if near else ""
    key = f"economics.prices: {{{quoted(name, 60)}: {PRICE_EXAMPLE}}}"
    return f"`{quoted(name, 60)}` has no price: {hint}write {key}, USD per million tokens"


def _hosted_tune_note(task: Task, cases: Sequence[Case]) -> Iterator[str]:
    """Yield a sentence on the tokens and price of tuning a paid base model at its vendor.

    The vendor trains on the rows as they stand, not on a prompt of ours.
    """
    if not is_paid(task.model) or task.tune is not None or not cases:
        return
    name = task.model.removeprefix("openai:").partition("@")[0]
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
