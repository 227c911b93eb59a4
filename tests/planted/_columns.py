"""The interventions that a study runs on a planted system: each remedy and its placebo, scored.

Remedies that build on a prompt (grammar, samples, passages, a larger model) use the best prompt.
The cases that this prompt passes alone are part of their placebo, as in a real study.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import NamedTuple

from tests.planted._likeness import LikenessSearch, is_same_answer
from tests.planted._system import majority_answer, system_answer
from tests.planted._world import Item, PromptIngredients, TrainedTable, World
from tuneworthy.arms.prompt.lenient import lenient
from tuneworthy.metrics import scorer
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.causes import Intervention, Remedy

MOST_SAMPLED_CASES, GOLD_SWAPS, SHOT_COUNT, TRAINING_ROWS, PASSAGES, FOLDS = (
    60,
    5,
    8,
    100,
    3,
    5,
)

AnswerFunction = Callable[[Item], str]
AnswerCheck = Callable[[Item, str], bool]
CaseCheck = Callable[[Item], bool]


@dataclass(frozen=True)
class PlantCases:
    """A planted system's failed and passed cases, its documents, and its check of an answer."""

    world: World
    fails: Sequence[Item]
    passes: Sequence[Item]
    docs: Sequence[str]
    is_right: AnswerCheck

    def select_cases(self, for_placebo: bool, fold: bool = False) -> list[Item]:
        """Return the cases to run: all; for a placebo failed ones; with `fold` a fifth of each."""
        rng = Random(f"{self.world.seed} who")
        fails, passes = list(self.fails), list(self.passes)
        rng.shuffle(fails)
        rng.shuffle(passes)
        if self.world.shape.paid and not fold:
            fails, passes = fails[:MOST_SAMPLED_CASES], passes[:MOST_SAMPLED_CASES]
        step = FOLDS if fold else 1
        return [*fails[::step], *([] if for_placebo else passes[::step])]


class RemedyTrial(NamedTuple):
    """A remedy and its placebo, each with a function from a case to an answer.

    `passes_alone` tells whether the remedy's prompt passes a case alone; None without a prompt.
    """

    name: str
    remedy: Remedy
    answer: AnswerFunction
    placebo: str | None = None
    placebo_answer: AnswerFunction | None = None
    one_fold: bool = False
    because: str = ""
    passes_alone: CaseCheck | None = None


def correctness_check(world: World) -> AnswerCheck:
    """Return a function that tells whether a text scores 1 against an item's gold answer.

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
    """Return every intervention of a study on these cases, with the cases that it passes."""
    world = field.world
    shape = world.shape
    best = _best_prompt(field)
    columns = [
        _intervention_of(field, one)
        for one in (*_prompt_trials(world), *_trials_on_best(field, best))
    ]
    columns += [_rescore(field, *one) for one in _rescoring_checks(field)]
    columns.append(_vote_intervention(field, best))
    trained = trained_table(world, sound=True)
    twin = PromptIngredients("twin", trained=trained_table(world, sound=False))
    tuned = _answers_with(world, PromptIngredients("lora", trained=trained))
    shuffled = _answers_with(world, twin)
    placebo = "twin on shuffled answers"
    training = RemedyTrial("lora", "learnable", tuned, placebo, shuffled, one_fold=shape.pilot)
    return [*columns, _intervention_of(field, training)]


def _candidate_prompts(world: World) -> list[PromptIngredients]:
    """Return the prompts that a study tries: today's, with the rule written out, with examples."""
    shots = worked_examples(world, apt=True)
    return [
        PromptIngredients(),
        PromptIngredients("specification", rule=True),
        PromptIngredients("few_shot", shots=shots),
    ]


def _best_prompt(field: PlantCases) -> PromptIngredients:
    """Return the prompt that passes most cases; the simplest of equals."""
    cases = [*field.fails, *field.passes]

    def passed(prompt: PromptIngredients) -> int:
        return sum(field.is_right(item, system_answer(field.world, item, prompt)) for item in cases)

    return max(_candidate_prompts(field.world), key=passed)


def _prompt_check(field: PlantCases, best: PromptIngredients) -> CaseCheck:
    """Return a function: does a prompt alone pass a case? Today's sampled prompt is drawn again."""
    own = (
        replace(best, name="asked again")
        if best == PromptIngredients() and field.world.shape.sampled
        else best
    )
    return lambda item: field.is_right(item, system_answer(field.world, item, own))


def _prompt_trials(world: World) -> list[RemedyTrial]:
    shuffled = worked_examples(world, apt=False)
    _, specified, few = _candidate_prompts(world)
    off, mixed = (
        PromptIngredients("irrelevant words"),
        PromptIngredients("shuffled shots", shots=shuffled, apt=False),
    )
    return [
        RemedyTrial(
            "specification",
            "convention",
            _answers_with(world, specified),
            "other words",
            _answers_with(world, off),
        ),
        RemedyTrial(
            "few_shot",
            "convention",
            _answers_with(world, few),
            "shuffled shots",
            _answers_with(world, mixed),
        ),
    ]


def _trials_on_best(field: PlantCases, best: PromptIngredients) -> list[RemedyTrial]:
    """Return the trials that build on the best prompt: a grammar, passages, a larger model."""
    world = field.world
    larger = RemedyTrial(
        "bigger", "capability", _answers_with(world, replace(best, name="bigger", strong=True))
    )
    if world.shape.sibling:
        sibling = _answers_with(world, replace(best, name="sibling"))
        larger = larger._replace(placebo="a sibling", placebo_answer=sibling)
    trials = [larger]
    if world.kind != "text":
        legal = _answers_with(world, replace(best, name="constrained", legal=True))
        trials.append(
            RemedyTrial(
                "constrained", "format", legal, "a random answer", _random_answer_function(world)
            )
        )
    if field.docs:
        trials += _passage_trials(field, best)
    alone = _prompt_check(field, best)
    return [one._replace(passes_alone=alone) for one in trials]


def _passage_trials(field: PlantCases, best: PromptIngredients) -> list[RemedyTrial]:
    world, search = field.world, LikenessSearch(field.docs)

    def passage(name: str, find: Callable[[Item], str | None]) -> AnswerFunction:
        return lambda item: system_answer(world, item, replace(best, name=name, passage=find(item)))

    def random(item: Item, k: int) -> str:
        return " ".join(Random(f"{world.seed} {item.case.id} any").sample(list(field.docs), k))

    return [
        RemedyTrial("oracle", "knowledge", passage("oracle", lambda item: item.case.context),
              "a wrong passage", passage("wrong passage", lambda item: random(item, 1))),
        RemedyTrial("rag", "retrieval",
              passage("rag", lambda item: " ".join(search.top(item.case.input, PASSAGES))),
              "random passages", passage("random passages", lambda item: random(item, PASSAGES))),
    ]  # fmt: skip


def _answers_with(world: World, prompt: PromptIngredients) -> AnswerFunction:
    return lambda item: system_answer(world, item, prompt)


def _random_answer_function(world: World) -> AnswerFunction:
    """Return a function from a case to a random legal answer in the task's form."""
    legal = [*world.pool, *world.codes.values()] if world.kind == "label" else list(world.pool)

    def any_answer(item: Item) -> str:
        rng = Random(f"{world.seed} {item.case.id} legal")
        return world.in_form(item.case, rng.choice(legal))

    return any_answer


def worked_examples(world: World, apt: bool) -> tuple[tuple[str, str], ...]:
    """Return eight worked examples from the table; if not `apt`, each has another's answer."""
    rng = Random(f"{world.seed} shots")
    keys = rng.sample(list(world.table), SHOT_COUNT)
    answers = [world.table[key] for key in keys]
    return tuple(zip(keys, answers if apt else answers[1:] + answers[:1], strict=True))


def trained_table(world: World, sound: bool) -> TrainedTable:
    """Return the result of training on 100 table rows, with shuffled answers if not `sound`."""
    rng = Random(f"{world.seed} rows")
    keys = rng.choices(list(world.table), k=TRAINING_ROWS)
    answers = [world.table[key] for key in keys]
    if not sound:
        rng.shuffle(answers)
    return TrainedTable(dict(zip(keys, answers, strict=True)), sound)


def _intervention_of(field: PlantCases, one: RemedyTrial) -> Intervention:
    right = field.is_right
    passed = {i.case.id: right(i, one.answer(i)) for i in field.select_cases(False, one.one_fold)}
    shares = alone = None
    if (beside := one.placebo_answer) is not None:
        shares = {
            i.case.id: float(right(i, beside(i))) for i in field.select_cases(True, one.one_fold)
        }
    if (passes := one.passes_alone) is not None:
        alone = {i.case.id: float(passes(i)) for i in field.select_cases(False)}
    words = [word for word in (one.placebo, "its prompt alone" if alone else None) if word]
    return Intervention(
        name=one.name, remedy=one.remedy, passed=passed, placebo=" or ".join(words) or None,
        placebo_passed=shares, alone=alone, because=one.because,
    )  # fmt: skip


def _rescoring_checks(field: PlantCases) -> list[tuple[str, Remedy, AnswerCheck]]:
    world, right = field.world, field.is_right
    labels = world.task.output.labels or ()
    read = cache(lambda text: lenient(text, world.kind, labels))

    def tolerant(item: Item, text: str) -> bool:
        return right(item, text) or is_same_answer(world.kind, item.case.output, text)

    def parsed(item: Item, text: str) -> bool:
        lenient_text = read(text)
        return right(item, text) or (lenient_text is not None and right(item, lenient_text))

    return [("tolerant metric", "metric", tolerant), ("lenient parse", "format", parsed)]


def _rescore(field: PlantCases, name: str, remedy: Remedy, accepts: AnswerCheck) -> Intervention:
    """Return an intervention that rescores today's answers with `accepts`."""
    said = {
        item.case.id: system_answer(field.world, item, PromptIngredients())
        for item in field.select_cases(False)
    }
    return _add_other_gold(field, Intervention(name=name, remedy=remedy, passed={}), accepts, said)


def _add_other_gold(
    field: PlantCases, blank: Intervention, accepts: AnswerCheck, said: dict[str, str]
) -> Intervention:
    """Return `blank` with the texts' passes; its placebo scores them against other cases' gold."""
    whole = [*field.fails, *field.passes]
    by_id = {item.case.id: item for item in whole}
    shares = {}
    for case, text in said.items():
        rng = Random(f"{field.world.seed} {case} {blank.name}")
        others = [_with_gold_of(by_id[case], rng.choice(whole)) for _ in range(GOLD_SWAPS)]
        shares[case] = sum(accepts(other, text) for other in others) / GOLD_SWAPS
    passed = {case: accepts(by_id[case], text) for case, text in said.items()}
    return blank.model_copy(
        update={"passed": passed, "placebo": "others' gold", "placebo_passed": shares}
    )


def _with_gold_of(item: Item, other: Item) -> Item:
    """Return `item` with the gold answer of `other`; a JSON answer keeps its other fields."""
    gold = other.case.output if item.case.output[:1] != "{" else _json_with_answer_of(item, other)
    return replace(item, case=item.case.model_copy(update={"output": gold}))


def _json_with_answer_of(item: Item, other: Item) -> str:
    mine, theirs = json.loads(item.case.output), json.loads(other.case.output)
    return json.dumps(mine | {"answer": theirs["answer"]})


def _vote_intervention(field: PlantCases, best: PromptIngredients) -> Intervention:
    """Return the intervention `vote`: the most frequent of eight samples, on failed cases only."""
    failed = {item.case.id: item for item in field.fails}
    asked = [item for item in field.select_cases(False) if item.case.id in failed]
    own = {item.case.id: majority_answer(field.world, item, best) for item in asked}
    intervention = _add_other_gold(
        field, Intervention(name="vote", remedy="latent", passed={}), field.is_right, own
    )
    passes = _prompt_check(field, best)
    alone = {item.case.id: float(passes(item)) for item in asked}
    words = f"{intervention.placebo} or its prompt alone"
    return intervention.model_copy(update={"placebo": words, "alone": alone})
