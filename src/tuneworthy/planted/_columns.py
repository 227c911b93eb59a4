"""The interventions that a study would run on a plant: each remedy and its placebo, scored.

Remedies that build on a prompt (grammar, samples, passages, a larger model) use the best one. What
that prompt passes alone is part of their placebo, as in a real study.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import NamedTuple

from tuneworthy.core.answer import Answer, Score
from tuneworthy.core.causes import Intervention, Remedy
from tuneworthy.metrics import scorer
from tuneworthy.planted._likeness import Search, same
from tuneworthy.planted._system import system_answer, vote
from tuneworthy.planted._world import Item, PromptIngredients, TrainedTable, World
from tuneworthy.prompting.lenient import lenient

SAMPLE, TURNS, SHOTS, ROWS, TOP, FOLDS = 60, 5, 8, 100, 3, 5

Says = Callable[[Item], str]
Judges = Callable[[Item, str], bool]
Passes = Callable[[Item], bool]


@dataclass(frozen=True)
class PlantCases:
    """The cases of a plant: an intervention runs on all or a sample, a placebo on <= 60 passed."""

    world: World
    fails: Sequence[Item]
    passes: Sequence[Item]
    docs: Sequence[str]
    right: Judges

    def on(self, beside: bool, fold: bool = False) -> list[Item]:
        """Return the cases of a remedy, or of its placebo (`beside`); `fold`: one fold in five."""
        rng = Random(f"{self.world.seed} who")
        fails, passes = list(self.fails), list(self.passes)
        rng.shuffle(fails)
        rng.shuffle(passes)
        if fold:
            return [*fails[::FOLDS], *passes[::FOLDS]]
        if self.world.shape.paid:
            fails = fails[:SAMPLE]
        return [*fails, *(passes[:SAMPLE] if beside or self.world.shape.paid else passes)]


class Trial(NamedTuple):
    """A remedy and its placebo, each as a function from a case to an answer.

    `alone` returns whether the prompt that the remedy builds on passes by itself; None: no prompt.
    """

    name: str
    remedy: Remedy
    says: Says
    placebo: str | None = None
    beside: Says | None = None
    fold: bool = False
    because: str = ""
    alone: Passes | None = None


def correctness_check(world: World) -> Judges:
    """Return a function that checks a text against an item's gold by the task's metric.

    Scores are cached, as the same pair of gold and text recurs.
    """
    score = scorer(world.task)
    cache: dict[tuple[str, str], bool] = {}

    def right(item: Item, text: str) -> bool:
        key = item.case.output, text
        if key not in cache:
            score_ = score(item.case, Answer(case=item.case.id, text=text, finish="stop"))
            cache[key] = isinstance(score_, Score) and score_.value >= 1
        return cache[key]

    return right


def interventions(field: PlantCases) -> list[Intervention]:
    """Return every intervention that a study of such a task would have."""
    world = field.world
    shape = world.shape
    best = _best(field)
    columns = [_asked(field, one) for one in (*_prompts(world), *_standing(field, best))]
    columns += [_rescored(field, *one) for one in _rescorings(field)]
    columns.append(_voted(field, best))
    lesson = _lesson(world, sound=True)
    twin = PromptIngredients("twin", lesson=_lesson(world, sound=False))
    tuned = _with(world, PromptIngredients("lora", lesson=lesson))
    shuffled = _with(world, twin)
    placebo = "twin on shuffled answers"
    trained = Trial("lora", "learnable", tuned, placebo, shuffled, fold=shape.pilot)
    return [*columns, _asked(field, trained)]


def _candidates(world: World) -> list[PromptIngredients]:
    """Return the prompts that a study tries: today's, a specification, examples."""
    shots = _shots(world, apt=True)
    return [
        PromptIngredients(),
        PromptIngredients("specification", rule=True),
        PromptIngredients("few_shot", shots=shots),
    ]


def _best(field: PlantCases) -> PromptIngredients:
    """Return the prompt that passes most cases; of ties, the simplest."""
    cases = [*field.fails, *field.passes]

    def passed(ask: PromptIngredients) -> int:
        return sum(field.right(item, system_answer(field.world, item, ask)) for item in cases)

    return max(_candidates(field.world), key=passed)


def _alone(field: PlantCases, best: PromptIngredients) -> Passes:
    """Return whether a prompt passes alone; a sampled system's own prompt is drawn again."""
    own = (
        replace(best, name="asked again")
        if best == PromptIngredients() and field.world.shape.sampled
        else best
    )
    return lambda item: field.right(item, system_answer(field.world, item, own))


def _prompts(world: World) -> list[Trial]:
    shuffled = _shots(world, apt=False)
    _, specified, few = _candidates(world)
    off, mixed = (
        PromptIngredients("irrelevant words"),
        PromptIngredients("shuffled shots", shots=shuffled, apt=False),
    )
    return [
        Trial(
            "specification", "convention", _with(world, specified), "other words", _with(world, off)
        ),
        Trial("few_shot", "convention", _with(world, few), "shuffled shots", _with(world, mixed)),
    ]


def _standing(field: PlantCases, best: PromptIngredients) -> list[Trial]:
    """Return the trials that build on the best prompt: a grammar, passages, a larger model."""
    world = field.world
    larger = Trial("bigger", "capability", _with(world, replace(best, name="bigger", strong=True)))
    if world.shape.sibling:
        sibling = _with(world, replace(best, name="sibling"))
        larger = larger._replace(placebo="a sibling", beside=sibling)
    trials = [larger]
    if world.kind != "text":
        legal = _with(world, replace(best, name="constrained", legal=True))
        trials.append(Trial("constrained", "format", legal, "a random answer", _any(world)))
    if field.docs:
        trials += _from_documents(field, best)
    alone = _alone(field, best)
    return [one._replace(alone=alone) for one in trials]


def _from_documents(field: PlantCases, best: PromptIngredients) -> list[Trial]:
    world, search = field.world, Search(field.docs)

    def passage(name: str, find: Callable[[Item], str | None]) -> Says:
        return lambda item: system_answer(world, item, replace(best, name=name, passage=find(item)))

    def random(item: Item, k: int) -> str:
        return " ".join(Random(f"{world.seed} {item.case.id} any").sample(list(field.docs), k))

    return [
        Trial("oracle", "knowledge", passage("oracle", lambda item: item.case.context),
              "a wrong passage", passage("wrong passage", lambda item: random(item, 1))),
        Trial("rag", "retrieval",
              passage("rag", lambda item: " ".join(search.top(item.case.input, TOP))),
              "random passages", passage("random passages", lambda item: random(item, TOP))),
    ]  # fmt: skip


def _with(world: World, ask: PromptIngredients) -> Says:
    return lambda item: system_answer(world, item, ask)


def _any(world: World) -> Says:
    """Return a placebo that gives a random legal answer in the task's form."""
    legal = [*world.pool, *world.codes.values()] if world.kind == "label" else list(world.pool)

    def any_answer(item: Item) -> str:
        rng = Random(f"{world.seed} {item.case.id} legal")
        return world.written(item.case, rng.choice(legal))

    return any_answer


def _shots(world: World, apt: bool) -> tuple[tuple[str, str], ...]:
    """Return eight worked examples from the table; shuffle their answers if not `apt`."""
    rng = Random(f"{world.seed} shots")
    keys = rng.sample(list(world.table), SHOTS)
    answers = [world.table[key] for key in keys]
    return tuple(zip(keys, answers if apt else answers[1:] + answers[:1], strict=True))


def _lesson(world: World, sound: bool) -> TrainedTable:
    """Train on a hundred rows of the table; shuffle their answers first if not `sound`."""
    rng = Random(f"{world.seed} rows")
    keys = rng.choices(list(world.table), k=ROWS)
    answers = [world.table[key] for key in keys]
    if not sound:
        rng.shuffle(answers)
    return TrainedTable(dict(zip(keys, answers, strict=True)), sound)


def _asked(field: PlantCases, one: Trial) -> Intervention:
    right = field.right
    passed = {i.case.id: right(i, one.says(i)) for i in field.on(False, one.fold)}
    shares = alone = None
    if (beside := one.beside) is not None:
        shares = {i.case.id: float(right(i, beside(i))) for i in field.on(True, one.fold)}
    if (passes := one.alone) is not None:
        alone = {i.case.id: float(passes(i)) for i in field.on(False)}
    words = [word for word in (one.placebo, "its prompt alone" if alone else None) if word]
    return Intervention(
        name=one.name, remedy=one.remedy, passed=passed, placebo=" or ".join(words) or None,
        placebo_passed=shares, alone=alone, because=one.because,
    )  # fmt: skip


def _rescorings(field: PlantCases) -> list[tuple[str, Remedy, Judges]]:
    world, right = field.world, field.right
    labels = world.task.output.labels or ()
    read = cache(lambda text: lenient(text, world.kind, labels))

    def tolerant(item: Item, text: str) -> bool:
        return right(item, text) or same(world.kind, item.case.output, text)

    def parsed(item: Item, text: str) -> bool:
        lenient_text = read(text)
        return right(item, text) or (lenient_text is not None and right(item, lenient_text))

    return [("tolerant metric", "metric", tolerant), ("lenient parse", "format", parsed)]


def _rescored(field: PlantCases, name: str, remedy: Remedy, accepts: Judges) -> Intervention:
    """Return today's answers under another reading; the placebo is other cases' gold."""
    said = {
        item.case.id: system_answer(field.world, item, PromptIngredients())
        for item in field.on(False)
    }
    return _permuted(field, Intervention(name=name, remedy=remedy, passed={}), accepts, said)


def _permuted(
    field: PlantCases, blank: Intervention, accepts: Judges, said: dict[str, str]
) -> Intervention:
    """Fill in passes of texts, and as the placebo the same texts against five other cases' gold."""
    whole = [*field.fails, *field.passes]
    by_id = {item.case.id: item for item in whole}
    shares = {}
    for case, text in said.items():
        rng = Random(f"{field.world.seed} {case} {blank.name}")
        others = [_as(by_id[case], rng.choice(whole)) for _ in range(TURNS)]
        shares[case] = sum(accepts(other, text) for other in others) / TURNS
    passed = {case: accepts(by_id[case], text) for case, text in said.items()}
    return blank.model_copy(
        update={"passed": passed, "placebo": "others' gold", "placebo_passed": shares}
    )


def _as(item: Item, other: Item) -> Item:
    """Return an item with the gold of another one; a JSON answer keeps its other fields."""
    gold = other.case.output if item.case.output[:1] != "{" else _swapped(item, other)
    return replace(item, case=item.case.model_copy(update={"output": gold}))


def _swapped(item: Item, other: Item) -> str:
    mine, theirs = json.loads(item.case.output), json.loads(other.case.output)
    return json.dumps(mine | {"answer": theirs["answer"]})


def _voted(field: PlantCases, best: PromptIngredients) -> Intervention:
    """Return the intervention "vote": the majority of eight samples, on the failed cases only."""
    failed = {item.case.id: item for item in field.fails}
    asked = [item for item in field.on(False) if item.case.id in failed]
    own = {item.case.id: vote(field.world, item, best) for item in asked}
    intervention = _permuted(
        field, Intervention(name="vote", remedy="latent", passed={}), field.right, own
    )
    passes = _alone(field, best)
    alone = {item.case.id: float(passes(item)) for item in asked}
    words = f"{intervention.placebo} or its prompt alone"
    return intervention.model_copy(update={"placebo": words, "alone": alone})
