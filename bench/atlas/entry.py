"""An entry of the atlas: a measured task with its recorded answers, made from a finished study."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from bench.atlas.cheap_look import first_look_of
from bench.atlas.features import features_of
from pydantic import Field, field_validator

from tuneworthy import __version__
from tuneworthy.matrix.ladder import best_by_fold
from tuneworthy.metrics import metric_name, names
from tuneworthy.records.answer import Score
from tuneworthy.records.case import Case
from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import TaskError, Unanswered
from tuneworthy.records.evidence import ArmResult, Evidence, Policy
from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask, ShownRow
from tuneworthy.records.plugins import load
from tuneworthy.records.record import Record, Text
from tuneworthy.records.results import Results
from tuneworthy.records.run import Run
from tuneworthy.records.task import Output, Success
from tuneworthy.rows.fingerprint import rows_digest
from tuneworthy.verdict.prices import value_of_right_answer
from tuneworthy.verdict.rungs import broken_limits

FORMAT_VERSION: Literal[1] = 1
KEY_PATTERN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")  # it names a file
NO_MODEL = "no model"
NOT_SCORED_AGAIN = ("judge",)  # metrics that other users can't compute again
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def is_key(text: str) -> bool:
    """Return whether a text may be the key of an entry: it names a file and part of an address."""
    return KEY_PATTERN.fullmatch(text) is not None


class RecordedRun(Record):
    """The answers of one arm, seed and fold: texts and scores in the order of `cases` (ids).

    An answer is None if there was an error, a score None if it could not be scored. `counts`: the
    arm's score is made of this seed's answers. `seconds`: of fitting and answering, None if not
    measured.
    """

    arm: str
    seed: int
    fold: int | None = None
    counts: bool
    seconds: float | None = None
    cases: tuple[str, ...]
    answers: tuple[Text | None, ...]
    scores: tuple[Share | None, ...]


class Scoring(Record):
    """The task's keys that a metric reads: `output` (form of answers) and `success`."""

    output: Output
    success: Success


class EntryHead(Record):
    """An entry without its rows and answers: the figures, and the version that measured them.

    `scoring` is None for an entry of figures only: its rows and answers can't be published, so
    nobody can score them again.
    """

    format: Literal[1] = FORMAT_VERSION
    version: str = __version__
    card: MeasuredTask
    scoring: Scoring | None = None

    @field_validator("card")
    @classmethod
    def _key_names_a_file(cls, card: MeasuredTask) -> MeasuredTask:
        if not is_key(card.key):
            raise ValueError("a key has small letters, digits, . _ and -, 80 at most")
        return card

    @property
    def figures_only(self) -> bool:
        """Return whether the entry has no answers to score again."""
        return self.scoring is None


class Entry(EntryHead):
    """A measured task with the scored cases and every recorded answer."""

    cases: tuple[Case, ...] = ()
    runs: tuple[RecordedRun, ...] = ()

    def head(self) -> EntryHead:
        """Return the entry without its rows and answers."""
        fields = {name: getattr(self, name) for name in EntryHead.model_fields}
        return EntryHead(**fields)


@dataclass(frozen=True)
class EntryLabels:
    """The labels of an entry: its key, type of task and title.

    `facts_change`: the facts of the right answers change. `shown` are rows to learn from that an
    adviser may see; `source` names the set that several tasks are cut from.
    """

    key: str
    kind: str
    title: str
    facts_change: bool = False
    shown: tuple[ShownRow, ...] = ()
    source: str = ""


def make_entry(
    results: Results, named: EntryLabels, measured: date, figures_only: bool = False
) -> Entry:
    """Return the entry of a finished study; without rows and answers if `figures_only`.

    Raises TaskError if others can't apply its metric (a judge, or the user's own function), or if
    clicks or prices settled it: its verdict doesn't follow from the recorded answers. Raises
    Unanswered if answers failed that a later run asks for again: they count as wrong until then.
    """
    if failures := sum(run.temporary_failures for run in results.runs):
        raise Unanswered(
            "the figures of this study are not final: answers failed that may come now",
            where=named.key,
            got=count_noun(failures, "answer"),
            fix="the same command again asks for them",
        )
    card = _measured_task(results, named, measured)
    version = str(results.reproduce.get("tuneworthy", __version__))
    if figures_only:
        return Entry(version=version, card=card.model_copy(update={"shown": ()}))
    _refuse_private_metric(results)
    _refuse_settled(results)
    _refuse_priced(results)
    task = results.task
    cases = tuple(case.model_copy(update={"where": ""}) for case in results.cases)
    return Entry(
        version=version,
        card=card,
        scoring=Scoring(output=task.output, success=task.success),
        cases=cases,
        runs=tuple(_recorded_runs(results)),
    )


def _refuse_private_metric(results: Results) -> None:
    metric = metric_name(results.task)
    if results.task.success.metrics and metric not in NOT_SCORED_AGAIN:
        return
    if results.task.success.metric is None:  # the default of the output type
        return
    raise TaskError(
        "these answers can't be scored again by others",
        where="task.yaml success.metric",
        got=metric,
        fix="--figures-only writes the figures without rows and answers",
    )


def _refuse_settled(results: Results) -> None:
    if (settled := results.evidence.settled) is not None:
        raise TaskError(
            "others can't check figures that clicks settled",
            got=f"a study settled by {count_noun(settled.clicks, 'click')}",
            fix="name the folder without `-settled`, or --figures-only: the figures without rows"
            " and answers",
        )


def _refuse_priced(results: Results) -> None:
    policy = results.policy
    if policy and (policy.motive == "cost" or value_of_right_answer(policy) is not None):
        raise TaskError(
            "others can't check a verdict that prices decided",
            where="task.yaml economics",
            got="a value of right answers, or lower cost as the aim",
            fix="--figures-only writes the figures without rows and answers",
        )


def _recorded_runs(results: Results) -> list[RecordedRun]:
    """Return the runs of scored candidates and references; `counts` marks those of the score."""
    shown = {arm.name for arm in _arms_shown(results.evidence) if arm.score is not None}
    runs = [run for run in results.runs if run.spec.name in shown and run.state == "measured"]
    counting = [
        id(best)
        for name in shown
        for best in best_by_fold([run for run in runs if run.spec.name == name])
    ]
    return [_recorded_run(run, id(run) in counting) for run in runs]


def _recorded_run(run: Run, counts: bool) -> RecordedRun:
    scores = [score.value if isinstance(score, Score) else None for score in run.scores]
    return RecordedRun(
        arm=run.spec.name,
        seed=run.seed,
        fold=run.fold,
        counts=counts,
        seconds=_total_seconds([run]),
        cases=tuple(answer.case for answer in run.answers),
        answers=tuple(None if answer.error else answer.text for answer in run.answers),
        scores=tuple(scores),
    )


def _total_seconds(runs: Sequence[Run]) -> float | None:
    """Return the total seconds of fitting and answering; None if an answer was not timed.

    None too for recorded answers: another system took their seconds, not the entry's machine.
    """
    if any(run.recorded for run in runs):
        return None
    own = [answer.seconds for run in runs for answer in run.answers if answer.error is None]
    timed = [value for value in own if value is not None]
    if len(timed) < len(own):
        return None
    return round(sum(timed) + sum(run.fit_seconds or 0.0 for run in runs), 3)


def _arms_shown(evidence: Evidence) -> list[ArmResult]:
    return [arm for arm in evidence.arms if arm.role in ("candidate", "reference")]


def _measured_task(results: Results, named: EntryLabels, measured: date) -> MeasuredTask:
    """Return the figures of a study; `behind` holds pairs of its evidence, none computed here."""
    evidence, verdict, task = results.evidence, results.verdict, results.task
    left = verdict.left_on_table
    return MeasuredTask(
        key=named.key,
        kind=named.kind,
        title=named.title,
        size=evidence.train or len(results.cases),
        n=len(results.cases),
        metric="+".join(names(task)),
        margin=task.success.margin,
        model=_model_name(results),
        instruction=task.instruction,
        shown=named.shown,
        base=_mean_score(results, "zero_shot"),
        reading=_mean_score(results, "oracle"),
        arms=tuple(_measured_arms(results)),
        use=verdict.use,
        arm=verdict.arm,
        status=verdict.status,
        left=left.points if left else None,
        rows_hash=rows_digest(results.cases),
        environment=_environment_texts(results.reproduce),
        measured=measured,
        facts_change=named.facts_change,
        source=named.source,
        output_type=task.output.type,
        features=features_of(results),
        first_look=first_look_of(results),
        because=verdict.because,
    )


def _model_name(results: Results) -> str:
    """Return the model that arms used or trained; else "recorded answers" or "no model"."""
    measured = [run for run in results.runs if run.state == "measured"]
    logged = [run for run in measured if run.recorded]
    own = [run for run in measured if not run.recorded]
    if any(load("arms", run.spec.arm).NEEDS & {"model", "training"} for run in own):
        return results.task.model
    return "recorded answers" if logged else NO_MODEL


def _mean_score(results: Results, arm: str) -> float | None:
    """Return the mean score of a built-in arm; None if it was not measured."""
    plain = {run.spec.name for run in results.runs if run.spec.arm == arm}
    found = [arm.score.mean for arm in results.evidence.arms if arm.name in plain and arm.score]
    return found[0] if found else None


def best_arm(arms: Sequence[ArmResult], policy: Policy) -> str | None:
    """Return the compared arm's name with the highest score, the first of equals; None without one.

    Arms that are shown to break a limit are left out.
    """
    compared = [
        arm
        for arm in arms
        if arm.competes and arm.score is not None and not broken_limits(arm, policy)
    ]
    best = max(compared, key=lambda arm: arm.score.mean if arm.score else 0.0, default=None)
    return best.name if best else None


def _measured_arms(results: Results) -> list[MeasuredArm]:
    evidence, found = results.evidence, []
    policy = results.policy or Policy(margin=results.task.success.margin)
    best = best_arm(evidence.arms, policy)
    pairs = {(pair.arm, pair.versus): pair for pair in evidence.pairs}
    for arm in _arms_shown(evidence):
        runs = [run for run in results.runs if run.spec.name == arm.name]
        pair = pairs.get((best or "", arm.name))
        behind = pair.interval if pair else None
        tokens = arm.tokens.prompt + arm.tokens.answer if arm.tokens else None
        found.append(MeasuredArm(
            name=arm.name,
            tool=arm.tool,
            seeds=arm.seeds,
            score=arm.score,
            behind=behind,
            seconds=_total_seconds(runs) if arm.score else None,
            fit_seconds=arm.fit_seconds,
            build_usd=arm.build_usd,
            usd_per_1k=arm.usd_per_1k,
            tokens_per_request=tokens,
            because=str(arm.because or ""),
            holds_facts=holds_facts(runs) if runs else None,
            n=arm.n if arm.score and arm.n else None,
            breaks_limits=broken_limits(arm, policy) if arm.role == "candidate" else (),
        ))  # fmt: skip
    return found


def holds_facts(runs: Sequence[Run]) -> bool | None:
    """Return whether an arm stores learnt facts in weights; None for recorded answers.

    An arm that reads documents takes its facts from them, even if it was trained.
    """
    spec = runs[0].spec
    if spec.arm in ("answers", "present"):
        return None
    needs: frozenset[str] = load("arms", spec.arm).NEEDS
    fitted = spec.tool == "classifier" or "training" in needs
    return fitted and "docs" not in needs


def _environment_texts(reproduce: Mapping[str, Any]) -> dict[str, str]:
    """Return versions, system and study of a run as strings by name."""
    plain = {key: str(reproduce[key]) for key in ("tuneworthy", "python", "system", "study")
             if key in reproduce}  # fmt: skip
    return {**plain, **{name: str(of) for name, of in reproduce.get("versions", {}).items()}}
