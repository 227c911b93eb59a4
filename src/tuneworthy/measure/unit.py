"""`Unit`: one arm, seed and fold to fit, its setup, and all that its stored answers depend on.

Whoever fits an arm of a study again (under another temperature, to build it) makes the same unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tuneworthy.arms._pairs import pair_settings
from tuneworthy.measure.answering import FreeAnswers, Runner
from tuneworthy.measure.model_roles import roles_of
from tuneworthy.models import content_of
from tuneworthy.records.arm import Fitted, Recipe, Setup
from tuneworthy.records.code import code_version
from tuneworthy.records.plugins import load
from tuneworthy.records.record import digest
from tuneworthy.records.run import Spec
from tuneworthy.records.specs import (
    chooses,
    file_read,
    needs_of_arm,
    reads_unlabelled,
    recorded_system,
)
from tuneworthy.rows.fingerprint import docs_digest, file_digest, present_fields
from tuneworthy.rows.folds import Part

COMMON_FOLDER = "common"


@dataclass(frozen=True)
class Unit:
    """One arm, seed and fold to run, with the prompt of earlier arms (`recipe`).

    `dev`: measure a dev score; `seeds`: there are several seeds, of which dev rows choose one;
    `prompts`: those that the arm may choose among; `folds`: all that are measured in this call;
    `steps`: how many cases each step so far has scored, none if the fold is scored at once.
    """

    spec: Spec
    seed: int
    fold: int
    part: Part
    recipe: Recipe
    dev: bool
    seeds: bool = False
    prompts: tuple[Recipe, ...] = ()
    folds: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()

    @property
    def arm(self) -> ModuleType:
        """Return the plug-in module of the arm."""
        return load("arms", self.spec.arm)

    def fit(self, setup: Setup) -> Fitted:
        """Return the arm, fitted on a setup. Raises what the arm's `fit` raises."""
        options = self.arm.Options.model_validate(self.spec.options)
        fitted: Fitted = self.arm.fit(setup, options, self.seed)
        return fitted

    def setup(self, runner: Runner, folder: Path) -> Setup:
        """Return the `Setup` to fit the arm on: rows, models, metric …; it writes into `folder`."""
        return Setup(
            task=runner.task,
            train=[runner.learn_cases[i] for i in self.part.train],
            dev=[runner.learn_cases[i] for i in self.part.dev],
            models=runner.models,
            score=runner.metric,
            folder=folder,
            recipe=self.recipe,
            prompts=self.prompts,
            unlabelled=runner.unlabelled,
            docs=runner.docs,
            recorded=runner.recorded.get(recorded_system(self.spec), {}),
            common=runner.ledger.folder(COMMON_FOLDER),
            given=FreeAnswers.of(runner.runs, self.fold, runner.models),
            say=lambda text: runner.say(f"{self.spec.name}: {text}"),
        )

    def key_fields(self, runner: Runner) -> dict[str, Any]:
        """Return all that can change what the arm learns and answers, for the unit's key.

        The metric is included only if the arm chooses something by score.
        """
        task, spec = runner.task, self.spec
        source = Path(self.arm.__file__ or "").read_bytes().decode("utf-8", "replace")
        roles = roles_of(runner.models, spec)
        learn = {
            side: digest([runner.learn_cases[i].plain() | {"where": ""} for i in sorted(ids)])
            for side, ids in (("train", self.part.train), ("dev", self.part.dev))
        }
        recorded = runner.recorded.get(recorded_system(spec), {})
        return {
            "arm": {"name": spec.arm, "options": spec.options, "code": digest(source, 16)}
            | self._context(runner),
            "made_by": code_version(),
            "seed": self.seed,
            "salt": runner.salt,
            "learn": learn,
            "recipe": self.recipe.plain(),
            "models": {role: dict(runner.models[role].fingerprint) for role in roles},
            "task": {
                "instruction": task.instruction,
                "output": task.output.plain(),
                "present": present_fields(task),
                "thinking": [task.thinking, task.thinking_tokens],
                "options": task.options,
            },
            "metric": runner.metric_digest if chooses(spec) else None,
            "recorded": digest([recorded[i].plain() for i in sorted(recorded)]) if recorded else "",
            **({"prompts": [one.plain() for one in self.prompts]} if self.prompts else {}),
        }

    def _context(self, runner: Runner) -> dict[str, Any]:
        """Return the key fields of the arm's documents, unlabelled rows, teacher and machine."""
        arm, spec, context = self.arm, self.spec, dict[str, Any]()
        needs = needs_of_arm(spec)
        if "docs" in needs and runner.docs:
            context["docs"] = docs_digest(runner.docs)
        if runner.unlabelled and reads_unlabelled(spec.arm):
            context["unlabelled"] = digest([query.plain() for query in runner.unlabelled])
        if reads_unlabelled(spec.arm) or "teacher" in needs:
            context["pairs"] = pair_settings(runner.task)
        if file := file_read(spec):
            context["file"] = file_digest(runner.task.folder / file)
        if model := str(spec.options.get("model") or ""):
            context["encoder"] = content_of(model, runner.task.folder)
        if hasattr(arm, "here"):
            context["here"] = arm.here(arm.Options.model_validate(spec.options))
        return context
