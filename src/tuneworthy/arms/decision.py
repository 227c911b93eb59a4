"""A decision model: one typed question whose options are the task's labels, with probabilities."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pydantic import Field

from tuneworthy.arms._prompted import answer_token_limit, as_answer, best_on_dev, work_of_sets
from tuneworthy.arms.prompt.messages import build, specification
from tuneworthy.arms.prompt.shots import example_sets
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.model import Grammar, Limits, limits_for
from tuneworthy.records.record import Record

TOOL, ROLE, SIMPLICITY = "prompt", "candidate", 15
NEEDS = frozenset({"decision", "labels"})
REMEDY = "capability"
PERMUTED = True
VARIANTS = ({"examples": 8},)
_WITH_EXAMPLES = "`input` is what to judge; `examples` are other inputs with their right answers."


class Options(Record):
    """`examples` in the state; of `draws` sets, the best one on (at most 16) dev rows.

    Its placebo needs no request: the same answers scored against another case's gold (PERMUTED).
    """

    examples: int = Field(default=0, ge=0, le=256)
    draws: int = Field(default=3, ge=1, le=64)


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Return the arm, with the set of training cases that is best on dev rows in its state."""
    if setup.models.get("decision") is None:
        raise DoesNotApply("the task names no decision model")
    if len(setup.train) < options.examples:
        raise DoesNotApply(
            f"{len(setup.train)} training rows are fewer than {options.examples} examples"
        )
    if not options.examples:
        return _asking(setup, ())
    sets = example_sets(setup.train, options.examples, options.draws, seed)
    return best_on_dev(setup, [_asking(setup, shown) for shown in sets])


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work: the cases, and each set of examples on the folds' dev rows."""
    return work_of_sets(sizes, options.examples, options.draws if options.examples else 1)


def _asking(setup: Setup, shown: Sequence[str]) -> Fitted:
    """Return an arm that asks about each query's state, with these examples in it."""
    task, model = setup.task, setup.models["decision"]
    rule = Grammar(kind="labels", value=[str(label) for label in task.output.labels or ()])
    usual = limits_for(task, answer_token_limit(setup), grammar=rule)
    by_id = {case.id: case for case in setup.train}
    examples = [{"input": _input(by_id[i].query()), "answer": by_id[i].output} for i in shown]

    def prompt(query: Query) -> tuple[Message, ...]:
        if not examples:
            return build(task, query, Recipe(kind="short"), ())
        text = f"{task.instruction.strip() or specification(task)}\n{_WITH_EXAMPLES}"
        state = json.dumps({"examples": examples, "input": _input(query)}, ensure_ascii=False)
        return Message(role="system", content=text), Message(role="user", content=state)

    def ask(queries: Sequence[Query], limits: Limits = usual) -> list[Answer]:
        prompts = [prompt(query) for query in queries]
        replies = model.reply(prompts, limits)
        return [as_answer(*each) for each in zip(queries, prompts, replies, strict=True)]

    return Fitted(
        answer=ask,
        learned=bool(shown),
        model=model,
        again=lambda queries, n: ask(queries, usual.model_copy(update={"sample": n})),
    )


def _input(query: Query) -> object:
    """Return a query's input as JSON: its text, or its turns where there are several."""
    if len(query.messages) == 1:
        return query.input
    return [turn.plain() for turn in query.messages]
