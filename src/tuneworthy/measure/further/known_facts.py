"""Measure which facts of the rows a model already knows, and which training would teach.

SliCK (Gekhman et al. 2024, arXiv 2405.05904): each case is asked with several sets of examples,
greedily and by sampling. Uses the model protocol only; knows no arm and no engine.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tuneworthy.arms.prompt.messages import build
from tuneworthy.arms.prompt.shots import random_examples, why_unusable
from tuneworthy.explain.rescore import passes, tolerant_metric
from tuneworthy.matrix.design import Design
from tuneworthy.measure.answering import Runner
from tuneworthy.metrics import Metric, by_set
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Sizes, Work
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case
from tuneworthy.records.causes import Diagnosis
from tuneworthy.records.code import code_version
from tuneworthy.records.further import (
    KNOWLEDGE_LEVELS,
    ForgottenFacts,
    KnowledgeLevel,
    KnowledgeProbe,
    Proportion,
)
from tuneworthy.records.model import Model, Prompt, Reply, final_replies, limits_for
from tuneworthy.records.record import digest
from tuneworthy.records.task import Task

EXAMPLE_SETS, EXAMPLES_PER_SET, SAMPLED_ANSWERS, TEMPERATURE = 5, 4, 4, 0.5

MOST_FACTS, MOST_FACTS_PAID, LEAST_OF_A_TYPE = 60, 30, 5

_PROMPTS_PER_SHARD = 64  # prompts per stored call, if the model names no other number

ReplyStore = Callable[[str, Callable[[], Any]], Mapping[str, Any]]

"""Returns the value stored under a key, or makes and stores it (`Ledger.unit`)."""


@dataclass(frozen=True)
class ProbeSetup:
    """The inputs of the knowledge probe: task, model, metric, example rows, store of replies.

    `train` are the labelled cases to draw examples from. `pass_at` is the least passing score,
    under the tolerant metric. `store` keeps replies (see `ReplyStore`), `salt` distinguishes
    studies that were started anew.
    """

    task: Task
    model: Model
    metric: Metric
    pass_at: float
    train: Sequence[Case]
    store: ReplyStore
    salt: str = ""


def probe_facts(setup: ProbeSetup, cases: Sequence[Case]) -> KnowledgeProbe:
    """Return how well the model knows the right answers of a seeded sample of the cases.

    At most 60 cases, 30 on a paid model; each is asked 25 times: 5 sets of 4 examples (of its own
    type if that has enough rows), each once greedily and 4 times at temperature .5. No probed case
    is an example, and no example is of the case's own group.
    """
    if setup.task.output.type == "label":
        return KnowledgeProbe(because="the answers are labels of a closed set, not facts")
    if by_set(setup.metric):
        return KnowledgeProbe(because="the metric looks at many answers together, not at a fact")
    probed = _sampled_cases(setup, cases)
    ids = {case.id for case in probed}
    pool = [case for case in setup.train if case.id not in ids and why_unusable(case) is None]
    if len(pool) < EXAMPLES_PER_SET:
        why = f"{len(pool)} rows are left to draw examples from, and {EXAMPLES_PER_SET} are needed"
        return KnowledgeProbe(because=why)
    greedy, sampled = defaultdict[str, list[bool]](list), defaultdict[str, list[bool]](list)
    failed: set[str] = set()
    right = tolerant_metric(setup.task, setup.metric)
    for case, sample, reply in _probe_replies(setup, probed, pool):
        if reply.error:
            failed.add(case.id)
            continue
        score = right(case, Answer(case=case.id, text=reply.text, finish=reply.finish))
        (sampled if sample else greedy)[case.id].append(passes(score, setup.pass_at))
    of = {c.id: knowledge_level(greedy[c.id], sampled[c.id]) for c in probed if c.id not in failed}
    return _summarise_probe(probed, of, tuple(sorted(failed)))


def knowledge_level(greedy: Sequence[bool], sampled: Sequence[bool]) -> KnowledgeLevel:
    """Return the SliCK level ("highly_known" … "unknown") from which answers were right.

    Raises ValueError without a greedy answer.
    """
    if not greedy:
        raise ValueError("no greedy answer: nothing is known about this case")
    if all(greedy):
        return "highly_known"
    if any(greedy):
        return "maybe_known"
    return "weakly_known" if any(sampled) else "unknown"


def lost_facts(before: KnowledgeProbe, after: KnowledgeProbe, design: Design) -> ForgottenFacts:
    """Return which highly known facts training lost (ids, share), among cases of both probes.

    Facts that changed the other way are counted too, since chance moves cases both ways.
    """
    shared = sorted(set(before.of) & set(after.of))
    well_known = [i for i in shared if before.of[i] == "highly_known"]
    unsure = [i for i in shared if before.of[i] in ("weakly_known", "unknown")]
    learnt = tuple(i for i in unsure if after.of[i] == "highly_known")
    if not well_known:
        why = "no case was asked twice" if not shared else "no fact was highly known before"
        return ForgottenFacts(learnt=learnt, unsure=len(unsure), because=why)
    lost = tuple(i for i in well_known if after.of[i] in ("weakly_known", "unknown"))
    return ForgottenFacts(
        lost=lost,
        shaken=tuple(i for i in well_known if after.of[i] == "maybe_known"),
        learnt=learnt,
        unsure=len(unsure),
        share=design.share({i: i in lost for i in well_known}),
    )


def fact_type(case: Case) -> str:
    """Return the fact type of a case: `meta.type`, else its group, else ""."""
    declared = case.meta.get("type")
    return declared if isinstance(declared, str) else case.group or ""


def _sampled_cases(setup: ProbeSetup, cases: Sequence[Case]) -> list[Case]:
    most = MOST_FACTS_PAID if getattr(setup.model, "paid", False) else MOST_FACTS
    ordered = sorted(cases, key=lambda case: case.id)
    return random.Random(f"{setup.task.seed} known").sample(ordered, min(most, len(ordered)))


def _probe_replies(
    setup: ProbeSetup, probed: Sequence[Case], pool: Sequence[Case]
) -> Iterator[tuple[Case, int, Reply]]:
    """Yield (case, sample, reply); sample 0 is greedy. Each complete shard is stored."""
    size = getattr(setup.model, "shard", _PROMPTS_PER_SHARD)
    # By type, so that prompts in a row share a prefix.
    ordered = sorted(probed, key=lambda case: (fact_type(case), case.id))
    for number in range(EXAMPLE_SETS):
        examples = _ExampleSet(pool, f"{setup.task.seed} known {number}")
        for start in range(0, len(ordered), size):
            shard = ordered[start : start + size]
            sets = [examples.ids(case) for case in shard]
            recipes = [Recipe(kind="few", k=len(shots), shots=shots) for shots in sets]
            prompts = [
                build(setup.task, case.query(), recipe, pool)
                for case, recipe in zip(shard, recipes, strict=True)
            ]
            for sample in range(SAMPLED_ANSWERS + 1):
                for case, reply in zip(shard, _ask_model(setup, prompts, sample), strict=True):
                    yield case, sample, reply


class _ExampleSet:
    """One set of examples: 4 of a case's own type if it has that many, none of its group."""

    def __init__(self, pool: Sequence[Case], seed: str) -> None:
        self._cases = {case.id: case for case in pool}
        types = defaultdict[str, list[Case]](list)
        for case in pool:
            types[fact_type(case)].append(case)
        self._all = random_examples(pool, len(pool), seed)
        self._of = {n: random_examples(same, len(same), f"{seed} {n}") for n, same in types.items()}

    def ids(self, case: Case) -> tuple[str, ...]:
        """Return the ids of the 4 examples for a case; usually the same for all cases of a type."""
        own = self._other_groups(self._of.get(fact_type(case), ()), case)
        return own if len(own) == EXAMPLES_PER_SET else self._other_groups(self._all, case)

    def _other_groups(self, ids: Sequence[str], case: Case) -> tuple[str, ...]:
        free = (i for i in ids if case.group is None or self._cases[i].group != case.group)
        return tuple(islice(free, EXAMPLES_PER_SET))


def _ask_model(setup: ProbeSetup, prompts: Sequence[Prompt], sample: int) -> list[Reply]:
    limits = limits_for(
        setup.task,
        setup.task.output.max_tokens or 64,
        temperature=TEMPERATURE if sample else 0.0,
        seed=setup.task.seed,
        sample=sample,
    )
    source = {"what": "known", "model": dict(setup.model.fingerprint), "made_by": code_version(),
              "salt": setup.salt}  # fmt: skip
    messages = [[message.plain() for message in prompt] for prompt in prompts]
    key = digest({**source, "limits": limits.plain(), "prompts": messages})
    stored = setup.store(
        key, lambda: {"replies": [r.plain() for r in setup.model.reply(prompts, limits)]}
    )
    return [Reply.model_validate(reply) for reply in stored["replies"]]


def _summarise_probe(
    probed: Sequence[Case], of: dict[str, KnowledgeLevel], lost: tuple[str, ...]
) -> KnowledgeProbe:
    answers = EXAMPLE_SETS * (SAMPLED_ANSWERS + 1)
    if not of:
        why = "no answer came back" if lost else "no rows with an answer to ask for"
        return KnowledgeProbe(sets=EXAMPLE_SETS, answers=answers, lost=lost, because=why)
    design = Design.of_cases(probed)
    alone = Design.of_cases(probed, named=False)  # a type may be a group: it is about that alone
    shares = {
        kind: design.share({i: own == kind for i, own in of.items()}) for kind in KNOWLEDGE_LEVELS
    }
    unknown = shares["unknown"]
    types = defaultdict[str, list[str]](list)
    for case in probed:
        if case.id in of and fact_type(case):
            types[fact_type(case)].append(case.id)
    by_type = {
        name: alone.share({i: of[i] == "unknown" for i in ids})
        for name, ids in sorted(types.items())
        if len(ids) >= LEAST_OF_A_TYPE
    }
    return KnowledgeProbe(
        of=dict(sorted(of.items())),
        shares=shares,
        unknown=unknown,
        by_type=by_type,
        sets=EXAMPLE_SETS,
        answers=answers,
        lost=lost,
        said=_summary_sentences(unknown, by_type),
    )


def _summary_sentences(unknown: Proportion, by_type: Mapping[str, Proportion]) -> tuple[str, ...]:
    lines = [
        f"{unknown.k} of {unknown.n} rows ({unknown.low:.0%} to {unknown.high:.0%}) hold a fact "
        "that the model never gave: training on them would teach it anew"
    ]
    lines += [
        f"of type {name}: {share.k} of {share.n} ({share.low:.0%} to {share.high:.0%})"
        for name, share in by_type.items()
    ]
    lines.append(
        f"asked with {EXAMPLE_SETS} sets of examples; fewer sets than 10 call more known facts "
        "unknown"
    )
    return tuple(lines)


_FACT_CAUSES = {"knowledge", "retrieval", "reading"}

"""Causes of failure that show that the answers are facts."""


def why_not_probed(task: Task, facts: bool, seen: Diagnosis | None) -> str:
    """Return why the knowledge probe does not apply, or "" if it does.

    `facts`: there are documents, or rows with the passage that contains their answer.
    """
    if task.output.type == "label":
        return "the answers are labels of a closed set, not facts"
    causes = {row.cause for row in seen.wrong} if seen else set()
    if not facts and not causes & _FACT_CAUSES:
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
    """Return the most work of the knowledge probe: 25 prompts with 4 examples for each case."""
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
