"""Run the knowledge probe in a study: whether it applies, on which cases, at what cost.

Every reply is stored (see `extras.known_facts`), so a stopped study resumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.core.arm import Sizes, Work
from tuneworthy.core.case import Case
from tuneworthy.core.causes import Diagnosis
from tuneworthy.core.known import KnowledgeProbe
from tuneworthy.core.model import Model, final_replies
from tuneworthy.core.task import Task
from tuneworthy.extras.known_facts import (
    EXAMPLE_SETS,
    EXAMPLES_PER_SET,
    MOST_FACTS,
    MOST_FACTS_PAID,
    SAMPLED_ANSWERS,
    ProbeSetup,
    probe_facts,
)
from tuneworthy.measure.answering import Runner

FACT_CAUSES = {"knowledge", "retrieval", "reading"}
"""Causes of failure that show that the answers are facts."""


def why_not_probed(task: Task, facts: bool, seen: Diagnosis | None) -> str:
    """Return why the knowledge probe does not apply, or "" if it does.

    `facts`: there are documents, or rows with the passage that contains their answer.
    """
    if task.output.type == "label":
        return "the answers are labels of a closed set, not facts"
    causes = {row.cause for row in seen.wrong} if seen else set()
    if not facts and not causes & FACT_CAUSES:
        return "nothing says that the answers are facts: no documents, and no such cause was found"
    return ""


def familiarity(runner: Runner, seen: Diagnosis | None) -> KnowledgeProbe:
    """Return how well the base model knows the answers of at most 60 scored cases (30 if paid).

    Call it after the diagnosis. Examples come from other rows. Raises ModelError and the ledger's
    errors; earlier replies stay stored.
    """
    cases = list(runner.sealed.open("known").values())
    facts = bool(runner.docs) or any(case.context for case in cases)
    if why := why_not_probed(runner.task, facts, seen):
        return KnowledgeProbe(because=why)
    if "base" not in runner.models:
        return KnowledgeProbe(because="there is no model to ask")
    runner.say("asking the model what it knows already")
    return probe_facts(
        _probe_setup(runner, runner.models["base"], list(runner.learn_cases.values())), cases
    )


def probe_work(task: Task, sizes: Sizes, paid: bool) -> Work:
    """Return the work of the probe at most: 25 prompts with 4 examples for each case."""
    cases = min(sizes.cases, MOST_FACTS_PAID if paid else MOST_FACTS)
    if task.output.type == "label":
        return Work()
    prompts = cases * EXAMPLE_SETS * (SAMPLED_ANSWERS + 1)
    per_prompt = sizes.own + EXAMPLES_PER_SET * sizes.shot
    calls = EXAMPLE_SETS * (SAMPLED_ANSWERS + 1)
    shared = prompts * sizes.shared if paid else calls * sizes.shared
    return Work.total(
        requests=prompts, read=shared + prompts * per_prompt, written=prompts * sizes.answer
    )


def _probe_setup(runner: Runner, model: Model, train: Sequence[Case]) -> ProbeSetup:
    def store(key: str, make: Any) -> Mapping[str, Any]:
        runner.check()
        return runner.ledger.unit(key, "known", make, runner.study, final_replies)

    return ProbeSetup(
        task=runner.task,
        model=model,
        metric=runner.metric,
        pass_at=runner.task.success.passes_from,
        train=train,
        store=store,
        salt=runner.salt,
    )
