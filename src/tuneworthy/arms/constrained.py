"""The best prompt of the training fold, with decoding held to the schema or the label list."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tuneworthy.arms._held import drafted, held, standing
from tuneworthy.arms._prompted import prompted, room
from tuneworthy.core.answer import Answer
from tuneworthy.core.arm import Asks, Fitted, Setup, Sizes, Work
from tuneworthy.core.case import Query
from tuneworthy.core.errors import DoesNotApply
from tuneworthy.core.limits import limits_for
from tuneworthy.core.model import Grammar
from tuneworthy.core.record import Record
from tuneworthy.metrics._validity import validity
from tuneworthy.prompting.grammar import grammar
from tuneworthy.prompting.messages import build

TOOL, ROLE, SIMPLICITY = "schema", "candidate", 10
NEEDS = frozenset({"model"})
REMEDY, PLACEBO = "format", "a random legal answer"


class Options(Record):
    """Labels are scored exactly, JSON is decoded under its schema.

    `draft`: the model answers freely first; a valid draft stands, another is written again under
    the grammar with the draft in the prompt (after DCCD, arXiv 2603.03305, which rewrites every
    draft). A mask changes valid answers too, as it allows one order of keys only. `random`: a
    legal answer that has nothing to do with the input (the placebo).
    """

    draft: bool = False
    random: bool = False


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Return the arm on `setup.recipe`. Raises DoesNotApply for free text."""
    outputs = [case.output for case in setup.train]
    rule = grammar(setup.task, outputs)
    if rule is None:
        raise DoesNotApply("the answers are free text: there is nothing to constrain")
    if options.random:
        return _random(rule, outputs, seed)
    model, recipe = setup.models["base"], setup.recipe
    ask, free, valid = (
        held(model, rule, limits_for(setup.task, room(setup))),
        prompted(setup, recipe),
        validity(setup.task),
    )

    def answer(queries: Sequence[Query]) -> list[Answer]:
        if options.draft:
            return drafted(queries, free.answer(queries), ask, valid)
        return ask(queries, [build(setup.task, query, recipe, setup.train) for query in queries])

    taught = rule.model_dump_json() != _untaught(setup)  # order of keys, spacing
    learned = taught or recipe.learned
    known = None if options.draft else standing(setup, rule)
    return Fitted(answer=answer, learned=learned, recipe=recipe, model=model, known=known)


def _untaught(setup: Setup) -> str:
    """Return the grammar as it would be without training rows."""
    rule = grammar(setup.task)
    return rule.model_dump_json() if rule else ""


def placebo(options: Options) -> Options:
    """Return a random legal answer: a label of the list, else the answer of a training case."""
    return options.model_copy(update={"random": True})


def _random(rule: Grammar, outputs: Sequence[str], seed: int) -> Fitted:
    """Return the placebo; what it draws depends on the seed and the case alone."""
    closed = rule.kind == "labels"
    legal = [str(label) for label in rule.value] if closed else sorted(outputs)
    if not legal:
        raise DoesNotApply("there is no training row to take a legal answer from")

    def answer(queries: Sequence[Query]) -> list[Answer]:
        drawn = [random.Random(f"{seed}.{query.id}").choice(legal) for query in queries]
        return [
            Answer(case=query.id, text=text, seconds=0.0, finish="stop")
            for query, text in zip(queries, drawn, strict=True)
        ]

    return Fitted(answer=answer, learned=not closed)


def asks(sizes: Sizes, options: Options) -> tuple[Asks, ...]:
    """Return the requests: one a case with the schema or labels beside it, and each free draft."""
    read = sizes.shared + sizes.asked
    cases = sizes.cases
    rest = cases / 2 if options.draft else cases
    held_to = Asks(requests=rest, most=cases, read=read + sizes.form + sizes.answer * options.draft)
    # A draft is the best prompt's own answer: where that was asked before, it comes from the store.
    free = (Asks(requests=0, most=cases, read=read),) if options.draft else ()
    return () if options.random else (held_to, *free)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the work, as if half the drafts were bad and no free answer stood as it is."""
    drafts = sizes.cases if options.draft else 0
    asked = sizes.cases - drafts // 2
    own = sizes.asked
    read = sizes.shared + drafts * own + asked * (own + sizes.labels)
    written = (drafts + (0 if sizes.labels else asked)) * sizes.answer
    return Work(requests=drafts + asked, read=read, written=written)
