"""The best prompt of the training fold, with decoding held to the schema or the label list."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from tuneworthy.arms._prompted import prompted
from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Fitted, Setup, Sizes, Work
from tuneworthy.core.case import Query
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.model import Scorer
from tuneworthy.core.record import Record
from tuneworthy.prompting.grammar import grammar
from tuneworthy.prompting.messages import build

TOOL, ROLE, SIMPLICITY = "schema", "candidate", 10
NEEDS = frozenset({"model"})
REMEDY = "format"


class Options(Record):
    """None yet: labels are scored exactly, JSON is decoded under its schema."""


def fit(setup: Setup, options: Options, seed: int) -> Fitted:  # noqa: ARG001
    """Return the arm on `setup.recipe`. Raises DoesNotApply for free text."""
    rule = grammar(setup.task, [case.output for case in setup.train])
    if rule is None:
        raise DoesNotApply("the answers are free text: there is nothing to constrain")
    model = setup.models["base"]
    if setup.task.output.type == "label" and isinstance(model, Scorer):
        return _by_probability(setup, model)
    return prompted(setup, setup.recipe, grammar=rule)


def _by_probability(setup: Setup, model: Scorer) -> Fitted:
    """Score every label with its end-of-turn token as a continuation and take the likeliest."""
    labels, recipe = list(setup.task.output.labels or ()), setup.recipe

    def answer(queries: Sequence[Query]) -> list[Answer]:
        prompts = [build(setup.task, query, recipe, setup.train) for query in queries]
        start = time.perf_counter()
        table = model.logprobs(prompts, [labels] * len(prompts))
        each = (time.perf_counter() - start) / max(len(prompts), 1)
        base = setup.models["base"]
        return [
            Answer(
                case=query.id,
                text=labels[max(range(len(labels)), key=row.__getitem__)],
                labels=dict(zip(labels, _softmax(row), strict=True)),
                tokens_in=base.count_tokens(prompt),
                seconds=each,
                finish="stop",
                prompt=tuple(prompt),
            )
            for query, prompt, row in zip(queries, prompts, table, strict=True)
        ]

    learned = recipe.kind in {"few", "nearest"}
    return Fitted(answer=answer, learned=learned, recipe=recipe, model=setup.models["base"])


def _softmax(row: Sequence[float]) -> list[float]:
    top = max(row)
    weights = [math.exp(value - top) for value in row]
    return [weight / sum(weights) for weight in weights]


def estimate(sizes: Sizes, options: Options) -> Work:  # noqa: ARG001
    """Return the work, as if the best prompt held four examples of its own."""
    own = sizes.own + 4 * sizes.shot + sizes.labels
    written = 0.0 if sizes.labels else sizes.cases * sizes.answer
    return Work(requests=sizes.cases, read=sizes.shared + sizes.cases * own, written=written)
