"""Fit an arm as it would be deployed, and answer new inputs with it; each shard is stored.

With a single split the artefact is the one that was scored. Under cross-fitting the arm is fitted
on all rows except the dev rows of the last fold, if it uses dev rows at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from tuneworthy.arms._pack import open_pack
from tuneworthy.matrix.ladder import best_prompt, runs_before, simplest_prompts
from tuneworthy.measure.answering import CASES_PER_SHARD, Runner, dev_score
from tuneworthy.measure.unit import Unit
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Fitted
from tuneworthy.records.case import Query
from tuneworthy.records.errors import DoesNotApply, ModelError
from tuneworthy.records.model import Prompt
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run, taught_rows
from tuneworthy.records.specs import DEV_ROWS_FOR_CHOICE, chooses, chooses_prompt
from tuneworthy.rows.folds import Part, Split


def _all_came(stored: Mapping[str, Any]) -> bool:
    """Return whether a stored shard is final: none of its answers failed only for now."""
    return not any(answer["lost"] == "for now" for answer in stored["answers"])


class DeployedArm:
    """One arm, fitted lazily on the first input whose answer is not in the ledger.

    `recorded` has, for an arm that is only recorded, its logged answers to the new inputs by id.
    The arm chooses its prompt as in the study. `everything`: fit it on all rows except the dev rows
    even with a single split, as `build` delivers it.
    """

    def __init__(
        self,
        runner: Runner,
        runs: Sequence[Run],
        name: str,
        seed: int,
        recorded: Mapping[str, Any],
        everything: bool = False,
    ) -> None:
        spec = next(run.spec for run in runs if run.spec.name == name)
        fold = _last_fold(runner, runs, name)
        self.runner = runner
        if recorded:
            logged = {**runner.recorded.get(name, {}), **recorded}
            self.runner = replace(runner, recorded={**runner.recorded, name: logged})
        before = runs_before(runs, spec, fold)
        recipe = best_prompt(before, fold, runner.task.seed)
        part = deployment_part(runner.split, fold)
        if everything:
            part = _with_test_rows(runner, part)
        prompts = simplest_prompts(before, fold, runner.task.seed) if chooses_prompt(spec) else ()
        part = part.learnt(chooses(spec))
        self.unit = Unit(spec, seed, fold, part, recipe, dev=False, prompts=prompts)

    def answers(self, queries: Sequence[Query]) -> list[Answer]:
        """Return one answer per input, in order. Raises ModelError if the arm can't be built."""
        runner, size = self.runner, CASES_PER_SHARD
        result: list[Answer] = []
        for start in range(0, len(queries), size):
            runner.check()
            shard = queries[start : start + size]
            key = digest({"what": "built", "unit": self._key_fields,
                          "queries": [query.plain() for query in shard]})  # fmt: skip
            stored = runner.ledger.unit(
                key, "answers", partial(self._answer_shard, shard), runner.study, _all_came
            )
            result += [Answer.model_validate(answer) for answer in stored["answers"]]
        return result

    @cached_property
    def _key_fields(self) -> dict[str, Any]:
        return self.unit.key_fields(self.runner)

    @property
    def rows(self) -> int:
        """Return the number of labelled rows that the arm is given."""
        return len(self.unit.part.train)

    @property
    def learnt_rows(self) -> int:
        """Return how many rows the fitted arm learnt from, a teacher's too; 0 for a prompt."""
        return self.rows + taught_rows(self.fitted.trace) if self.fitted.learned else 0

    def dev_score(self) -> float | None:
        """Return the arm's mean dev score, measured in training or now; None without dev rows."""
        if (dev := (self.fitted.trace or {}).get("dev")) is not None:
            return float(dev)
        cases = [
            self.runner.learn_cases[i] for i in sorted(self.unit.part.dev)[:DEV_ROWS_FOR_CHOICE]
        ]
        answers = self.answers([case.query() for case in cases])
        by_case = {answer.case: answer for answer in answers}
        return dev_score(self.runner.metric, cases, by_case)[0]

    def prompts(self, queries: Sequence[Query]) -> list[Prompt] | None:
        """Return the prompt that the fitted arm sends per query; None without model or pack."""
        fitted, setup = self.fitted, self.unit.setup(self.runner, self.runner.ledger.home)
        if fitted.pack is None or fitted.model is None:
            return None
        setup = replace(setup, models={fitted.pack.role: fitted.model})
        opened = open_pack(setup, fitted.pack)
        return opened.prompts(queries) if opened.prompts else None

    @property
    def key(self) -> str:
        """Return the hash of everything that decides what the arm learns and answers."""
        return digest({"what": "fit", "unit": self._key_fields})

    @cached_property
    def fitted(self) -> Fitted:
        """Return the fitted arm. Raises ModelError if it can't be built here."""
        try:
            return self.unit.fit(self.unit.setup(self.runner, self.runner.ledger.folder(self.key)))
        except DoesNotApply as reason:
            raise ModelError(
                "an arm of the study can't be built", where=self.unit.spec.name, got=str(reason),
                fix="mend that, then run the command again",
            ) from None  # fmt: skip

    def _answer_shard(self, queries: Sequence[Query]) -> dict[str, Any]:
        return {"answers": [answer.plain() for answer in self.fitted.answer(queries)]}


def deployment_part(split: Split, fold: int) -> Part:
    """Return the rows to build an arm from; with several folds its test rows are learnt from."""
    part = split.parts[fold]
    if len(split.learning) == 1:
        return part
    added = tuple(case for case in part.test if case not in split.copies)
    return Part(train=tuple(sorted((*part.train, *added))), dev=part.dev, test=part.test)


def _with_test_rows(runner: Runner, part: Part) -> Part:
    """Return the part with its test rows added to training; those of a test file stay out."""
    added = set(part.test) & set(runner.learn_cases) - set(runner.split.copies) - set(part.dev)
    return part.model_copy(update={"train": tuple(sorted({*part.train, *added}))})


def scores_of(runs: Sequence[Run], name: str, seed: int) -> dict[str, float]:
    """Return {case id: score} of an arm's runs with one seed; an unscored case counts 0."""
    scores: dict[str, float] = {}
    for run in runs:
        if run.spec.name == name and run.seed == seed and run.state == "measured":
            values = (getattr(score, "value", 0.0) for score in run.scores)
            scores |= dict(zip((answer.case for answer in run.answers), values, strict=True))
    return scores


def _last_fold(runner: Runner, runs: Sequence[Run], name: str) -> int:
    """Return the number of the last fold that an arm was scored on; the last of all if none."""
    last = len(runner.split.learning) - 1
    own = [run.fold for run in runs if run.spec.name == name and run.state == "measured"]
    return max((fold for fold in own if fold is not None and fold <= last), default=last)
