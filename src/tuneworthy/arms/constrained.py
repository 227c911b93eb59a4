"""A prompt with decoding constrained to the schema or the label list."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tuneworthy.arms import _choice
from tuneworthy.arms._prompted import answer_token_limit, prompt_pack, prompting_arm
from tuneworthy.arms._under_grammar import (
    answer_under_grammar,
    correct_drafts,
    reusable_free_answers,
)
from tuneworthy.arms.prompt.grammar import grammar
from tuneworthy.arms.prompt.messages import build_all
from tuneworthy.metrics._validity import validity
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Asks, Fitted, Recipe, Setup, Sizes, Work
from tuneworthy.records.case import Query
from tuneworthy.records.errors import DoesNotApply
from tuneworthy.records.model import Grammar, limits_for
from tuneworthy.records.record import Record
from tuneworthy.records.task import Task

TOOL, ROLE, SIMPLICITY = "schema", "candidate", 10
NEEDS = frozenset({"model"})
WITHOUT_GOLD = True
REMEDY, PLACEBO = "format", "a random legal answer"
CHOOSES_PROMPT = True


class Options(Record):
    """A few labels are scored exactly; many labels and JSON are decoded under the grammar.

    `draft`: the model answers freely first; a valid draft is kept, an invalid one is written again
    under the grammar with the draft in the prompt (after DCCD, arXiv 2603.03305, which rewrites
    every draft). A mask changes valid answers too, as it allows one order of keys only. `random`: a
    legal answer that has nothing to do with the input (the placebo).
    """

    draft: bool = False
    random: bool = False


def does_not_apply(task: Task) -> str:
    """Return why no answer of a task can be constrained, "" for labels, JSON and numbers."""
    return "" if grammar(task) else "the answers are free text: there is nothing to constrain"


def fit(setup: Setup, options: Options, seed: int) -> Fitted:
    """Return the arm fitted with the prompt that is best on dev rows under the grammar.

    It counts as learned if the prompt or the grammar does. Raises DoesNotApply for free text.
    """
    outputs = [case.output for case in setup.train]
    rule = grammar(setup.task, outputs)
    if rule is None:
        raise DoesNotApply(does_not_apply(setup.task))
    if options.random:
        return _random_answers(rule, outputs, seed)
    model, valid = setup.models["base"], validity(setup.task)
    limits = limits_for(setup.task, answer_token_limit(setup))
    ask = answer_under_grammar(model, rule, limits, setup.task.success.costs)

    def answer(recipe: Recipe, queries: Sequence[Query]) -> list[Answer]:
        if options.draft:
            return correct_drafts(queries, prompting_arm(setup, recipe).answer(queries), ask, valid)
        return ask(queries, build_all(setup.task, queries, recipe, setup.train))

    def tried(recipe: Recipe, queries: Sequence[Query]) -> list[Answer]:
        reusable = None if options.draft else reusable_free_answers(setup, rule, recipe)
        answers = {q.id: a for q in queries if reusable and (a := reusable(q)) is not None}
        rest = [query for query in queries if query.id not in answers]
        answers |= {answered.case: answered for answered in (answer(recipe, rest) if rest else ())}
        return [answers[query.id] for query in queries]

    recipe, notes = _choice.choose_prompt(setup, tried)
    taught = rule.model_dump_json() != _grammar_without_rows(setup)  # order of keys, spacing
    learned = taught or recipe.learned
    return Fitted(
        answer=lambda queries: answer(recipe, queries),
        learned=learned,
        recipe=recipe,
        model=model,
        notes=notes,
        known=None if options.draft else reusable_free_answers(setup, rule, recipe),
        pack=prompt_pack(setup, recipe, grammar=rule, draft=options.draft),
    )


def _grammar_without_rows(setup: Setup) -> str:
    """Return the grammar without training rows as JSON, "" if there is none."""
    rule = grammar(setup.task)
    return rule.model_dump_json() if rule else ""


def placebo(options: Options) -> Options:
    """Return the placebo's options: a random label, else the answer of a random training case."""
    return options.model_copy(update={"random": True})


def _random_answers(rule: Grammar, outputs: Sequence[str], seed: int) -> Fitted:
    """Return the placebo, whose draws depend only on the seed and the case."""
    closed = rule.kind == "labels"
    legal = [str(label) for label in rule.value] if closed else sorted(filter(None, outputs))
    if not legal:
        raise DoesNotApply("there is no training row to take a legal answer from")

    def answer(queries: Sequence[Query]) -> list[Answer]:
        drawn = [random.Random(f"{seed}.{query.id}").choice(legal) for query in queries]
        return [
            Answer(case=query.id, text=text, seconds=0.0, finish="stop")
            for query, text in zip(queries, drawn, strict=True)
        ]

    return Fitted(answer=answer, learned=not closed)


def estimate(sizes: Sizes, options: Options) -> Work:
    """Return the requests under the grammar, if half the drafts are invalid, and the choice.

    A draft is the free answer to its prompt, which a prompt arm gave before. A local model scores
    labels instead of writing them. Random answers ask no model.
    """
    if options.random:
        return Work()
    cases, shared, own = sizes.cases, sizes.shared, sizes.input_tokens
    more = (sizes.form or sizes.labels) + sizes.answer * options.draft
    held = Asks(requests=cases / 2 if options.draft else cases, most=cases, shared=shared,
                own=own + more)  # fmt: skip
    drafts = (Asks(requests=0, most=cases, shared=shared, own=own),) if options.draft else ()
    choice = _choice.choice_requests(sizes, more)
    return Work(asks=(held, *drafts, choice), answer=0 if sizes.labels else sizes.answer)
