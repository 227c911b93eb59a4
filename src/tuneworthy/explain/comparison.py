"""Build the evidence from the runs: arm scores, the competing arms, paired differences. Pure.

Every measured candidate competes. The simplest arm of a tool that is not shown to be worse takes
the tool's place on the ladder. The bounds hold simultaneously for all pairs, so they account for
this selection.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tuneworthy.explain.arm_figures import ValidAnswers, cut_summary, valid_answers
from tuneworthy.explain.costs import cost_per_1000_requests, with_costs
from tuneworthy.explain.hard_limits import limit_states, request_times, why_p95_open
from tuneworthy.explain.metric_ladder import MOST_UNSCORED_GOLD, TOLERATED_UNSCORED
from tuneworthy.matrix.columns import (
    PRESENT_ARM,
    Column,
    by_spec,
    preselected_arm,
    rank_columns,
    repeats_of,
)
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.matrix.ladder import best_by_fold
from tuneworthy.matrix.matrix import Matrix
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case
from tuneworthy.records.causes import CAUSES_BY_TOOL, asks_another_model, repairable_causes
from tuneworthy.records.counting import count_noun
from tuneworthy.records.escape import quoted
from tuneworthy.records.evidence import (
    ArmResult,
    Evidence,
    Interval,
    Latency,
    LimitState,
    Tokens,
)
from tuneworthy.records.interval import ALPHA
from tuneworthy.records.reason import Reason, Why
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run
from tuneworthy.records.task import HardLimits, Task

_ZERO_SCORE_BELOW = 1e-9  # a score below it counts as 0
_NUMBER = re.compile(r"[0-9]*\.?[0-9]+")
_NO_SECONDS = "the recorded answers have no `seconds`: write each one's into its line of the log"
_LEAST_TIMES_FOR_P95 = 20  # below it the 95th percentile is little more than the maximum


def compare(inputs: ComparisonInputs, cases: Sequence[Case], runs: Sequence[Run]) -> Evidence:
    """Return the evidence of all runs so far on the scored cases."""
    matrix = Matrix.of(inputs, runs)
    broken = {name for name, rs in by_spec(runs).items() if _breaks_limit(matrix, rs)}
    finalists, all_pairs = matrix.competition(broken)
    compared = {one.spec.name for rivals in matrix.places.values() for one in rivals}
    arms = [
        _arm_result(matrix, rs, finalists.get(name)).model_copy(
            update={"compared": name in compared}
        )
        for name, rs in by_spec(runs).items()
    ]
    differ = [
        p.differ / p.n for p in all_pairs if p.n and p.arm in finalists and p.versus in finalists
    ]
    evidence = Evidence(
        task=inputs.task.name,
        hash=_evidence_hash(inputs, cases, runs),
        n=len(cases),
        looks=inputs.looks,
        alpha=ALPHA,
        arms=tuple(arms),
        pairs=tuple(all_pairs),
        blocks=(*inputs.blocks, *_metric_failures(runs)),
        d=round(float(np.mean(differ)), 6) if differ else None,
        pool=inputs.pool,
        limited=inputs.limited,
        corrected=bool(inputs.task.data.corrected),
        documents=inputs.task.data.docs is not None,
        task_hash=inputs.study,
        seconds=_total_seconds(runs),
        train=max((len(part.train) + len(part.dev) for part in inputs.split.parts), default=0),
    )
    return with_costs(evidence, inputs.task, runs)


def _arm_result(matrix: Matrix, runs: Sequence[Run], rivals: Sequence[Column] | None) -> ArmResult:
    """Return the ArmResult of an arm; `rivals`: the arms of its tool if it is the best of them."""
    spec, inputs = runs[0].spec, matrix.inputs
    column = matrix.columns.get(spec.name)
    plain: dict[str, Any] = {
        "name": spec.name, "tool": spec.tool, "role": spec.role,
        "simplicity": spec.simplicity, "options": spec.options,
        "repairs": tuple(sorted(
            repairable_causes(spec)
            | (CAUSES_BY_TOOL["bigger"] if asks_another_model(inputs.task, spec) else frozenset())
        )),
    }  # fmt: skip
    if column is None:
        bad = next((r for r in runs if r.state in {"failed", "skipped"}), runs[0])
        return ArmResult(**plain, state=bad.state, because=bad.because)
    ids = sorted(column.cells)
    fields, missing = _measured_fields(matrix, column, ids, rivals or ())
    sd, told = _sd_of_seeds(column.runs), repeats_of(inputs.design, column.scores, [column.draws])
    if sd is None:
        missing["seed_sd"] = "one seed: how much a retraining differs was not measured"
    devs = [run.dev for run in column.runs if run.dev is not None]
    stopped = next((r.because for r in runs if r.state == "stopped_early"), None)
    return ArmResult(
        **plain,
        **fields,
        state="stopped_early" if stopped else "measured",
        because=stopped or _joined_notes(column.runs, told.text if told else column.alike_note),
        seed=Counter(run.seed for run in best_by_fold(column.runs)).most_common(1)[0][0],
        seeds=len({run.seed for run in column.runs}),
        n=len(ids),
        learned=column.learned,
        recorded=any(run.recorded for run in column.runs),
        finalist=rivals is not None,
        chosen=_why_finalist(inputs, rivals) if rivals else "",
        dev=round(float(np.mean(devs)), 6) if devs else None,
        seed_sd=sd,
        repeats=told,
        fit_seconds=round(sum(run.fit_seconds or 0.0 for run in column.runs), 3),
        missing=missing,
        present=spec.arm == PRESENT_ARM,
        **_sure_fields(matrix, spec.name, fields["score"]),
    )


def _sure_fields(matrix: Matrix, arm: str, score: Interval) -> dict[str, Any]:
    """Return what an arm answers if it answers only what it is sure of; {} without that limit."""
    if (found := matrix.sure.get(arm)) is None:
        return {}
    shown = found.shown and found.shown.model_copy(update={"coverage": score})
    return {"sure": shown, "possible": round(found.possible, 6)}


def _breaks_limit(matrix: Matrix, runs: Sequence[Run]) -> bool:
    """Return whether an arm is shown to break a limit of the task that its own runs can test."""
    success, column = matrix.inputs.task.success, matrix.columns.get(runs[0].spec.name)
    limited = success.floor is not None or success.limits != HardLimits() or bool(matrix.sure)
    if column is None or not limited:
        return False
    fields, _ = _measured_fields(matrix, column, sorted(column.cells), ())
    return not {"violated", "not reached"}.isdisjoint(fields["limits"].values())


def _joined_notes(runs: Sequence[Run], more: str = "") -> Reason | None:
    """Return an arm's run notes, and `more`, joined to one reason; None if there are none.

    Of notes that differ in figures alone, one is kept.
    """
    alike: dict[str, list[str]] = {}
    for note in sorted(note for run in runs for note in run.notes):
        alike.setdefault(_NUMBER.sub("", note), []).append(note)
    text = "; ".join(
        notes[0]
        if len(set(notes)) == 1
        else f"{notes[0]}; the figures differ over {len(notes)} runs"
        for notes in alike.values()
    )
    text = "; ".join(filter(None, (text, more)))
    why = next((run.because.why for run in runs if run.because), Why.OTHER)
    return Reason(why=why, text=text) if text else None


def _total_seconds(runs: Sequence[Run]) -> float:
    """Return the total seconds of fits and answers, as measured when each was first run.

    The seconds of recorded answers are not counted: another system took them, not this study.
    """
    fit = sum(run.fit_seconds or 0.0 for run in runs)
    asked = [run for run in runs if not run.recorded]
    return round(fit + sum(a.seconds or 0.0 for run in asked for a in run.answers), 3)


def _why_finalist(inputs: ComparisonInputs, rivals: Sequence[Column]) -> str:
    """Return a clause on why `rivals[0]`, of arms of one tool, has its place on the ladder."""
    spec, finalist = rivals[0].spec, preselected_arm(inputs.task, rivals[0].spec)
    whose = "of its tool" if spec.tool else "whose tool is not given"
    if len(rivals) > 1:
        note = f" ({quoted(finalist, 60)} was named before and not measured)" if finalist else ""
        top = rank_columns([one for one in rivals if not one.stopped] or rivals)[0] is rivals[0]
        what, none = ("best", "") if top else ("simplest", " that no other is shown to beat")
        said = f"the {what} of {len(rivals)} arms {whose}{none}"
        return f"{said}; every bound allows for the choice{note}"
    if finalist and finalist != spec.name:
        return f"the only arm {whose}: {quoted(finalist, 60)} was named before and not measured"
    if finalist != spec.name:
        return f"the only arm {whose}"
    return "named before the run (success.finalists)"


def _measured_fields(
    matrix: Matrix, column: Column, ids: Sequence[str], rivals: Sequence[Column]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return ({field of ArmResult: measured value}, {field that is None: its reason})."""
    inputs, answers = matrix.inputs, [column.cells[i][0] for i in ids]
    score = matrix.mean(column.spec.name, rivals=rivals).interval
    valid = valid_answers(inputs, column, ids)
    errors = sum(isinstance(column.cells[i][1], Unscored) for i in ids)
    missing: dict[str, str] = {}
    fields: dict[str, Any] = {
        "score": score,
        "score_if_right": round(min(1.0, score.mean + _unscored_share(column, ids)), 6),
        "valid": valid.share,
        "errors": errors,
        "lost": _total_loss_share(inputs, column, ids),
        "cut": cut_summary(column.runs, column.cells, inputs.design),
        "latency_ms": _latency_quantiles(column.runs, answers, missing),
        "tokens": _mean_tokens(answers, missing),
        **cost_per_1000_requests(inputs.task, answers, column.runs, missing),
    }
    if valid.share is None:
        missing["valid"] = "no answer says whether it is valid"
    fields["limits"] = _limit_states(inputs.task, fields, column.runs, valid, missing)
    if sure := matrix.sure.get(column.spec.name):
        fields["limits"]["wrong_at_most"] = "met" if sure.shown else "not reached"
    return fields, missing


def _limit_states(
    task: Task,
    fields: dict[str, Any],
    runs: Sequence[Run],
    valid: ValidAnswers,
    missing: dict[str, str],
) -> dict[str, LimitState]:
    """Return {limit of the task: its state}; add to `missing` why one is not shown."""
    states = limit_states(task, fields, runs)
    limit = task.success.limits.valid
    if limit is not None:
        states = {"valid": valid.state(limit), **states}
        if why := valid.why_open(limit):
            missing["limits.valid"] = why
    missing |= _why_p95_open(task, runs, states)
    return states


def _metric_failures(runs: Sequence[Run]) -> list[str]:
    """Return [a sentence on the arm whose answers the user's metric fails on], [] if it does not.

    A single answer is tolerated, and one in a hundred: a metric can time out once.
    """
    for name, own in by_spec(runs).items():
        scores = [score for run in own for score in run.scores]
        failed = [s.reason for s in scores if isinstance(s, Unscored) and s.raised]
        if len(failed) > max(TOLERATED_UNSCORED, MOST_UNSCORED_GOLD * len(scores)):
            return [f"the metric fails on {len(failed):,} of {count_noun(len(scores), 'answer')} of"
                    f" `{name}`: {failed[0]}"]  # fmt: skip
    return []


def _unscored_share(column: Column, ids: Sequence[str]) -> float:
    """Return the share of unscored cases: what they would add to a mean if right."""
    return float((column.values(ids, wrong=1.0) - column.values(ids)).mean())


def _total_loss_share(
    inputs: ComparisonInputs, column: Column, ids: Sequence[str]
) -> Interval | None:
    """Return the share of answers that score 0; None if every score is 0 or 1.

    None too for a judge's scores: human grades correct their mean, not how many are 0.
    """
    values = column.values(ids)
    if inputs.grades is not None or np.isin(values, (0.0, 1.0)).all():
        return None
    lost = dict(zip(ids, (values < _ZERO_SCORE_BELOW).tolist(), strict=True))
    return inputs.design.mean(lost).interval


def _latency_quantiles(
    runs: Sequence[Run], answers: Sequence[Answer], missing: dict[str, str]
) -> Latency | None:
    times, logged = request_times(runs), any(run.recorded for run in runs)
    if not times and not any(run.fingerprint for run in runs):
        times = [a.seconds * 1000 for a in answers if a.seconds is not None]
    if not times:
        missing["latency_ms"] = _NO_SECONDS if logged else (
            "no request to the endpoint was answered"
            if any("endpoint" in run.fingerprint for run in runs)
            else "not timed one at a time: it would take long; set success.limits.p95_ms to ask"
            " for it"
        )  # fmt: skip
        return None
    p50, p95 = (round(float(value), 3) for value in np.quantile(times, [0.5, 0.95]))
    if len(times) < _LEAST_TIMES_FOR_P95:
        missing["latency_ms.p95"] = (
            f"{count_noun(len(times), 'answer')} of the log had `seconds`, too few"
            if logged
            else f"{len(times)} requests were timed; with success.limits.p95_ms set, more are"
        )
    if not any(run.latency_concurrency for run in runs):
        missing["latency_ms.concurrency"] = "recorded answers do not say it"
    at_once = max((run.latency_concurrency or 0 for run in runs), default=0)
    return Latency(
        p50=p50,
        p95=p95 if len(times) >= _LEAST_TIMES_FOR_P95 else None,
        concurrency=at_once or None,
    )


def _why_p95_open(
    task: Task, runs: Sequence[Run], states: Mapping[str, LimitState]
) -> dict[str, str]:
    """Return {"limits.p95_ms": why it is neither met nor violated}; {} if it is either."""
    limit = task.success.limits.p95_ms
    if limit is None or states["p95_ms"] not in ("not shown", "not measured"):
        return {}
    if times := request_times(runs):
        return {"limits.p95_ms": why_p95_open(times, limit)}
    return {"limits.p95_ms": _NO_SECONDS} if any(run.recorded for run in runs) else {}


def _mean_tokens(answers: Sequence[Answer], missing: dict[str, str]) -> Tokens | None:
    read = [a.tokens_in for a in answers if a.tokens_in is not None]
    written = [a.tokens_out for a in answers if a.tokens_out is not None]
    if not read or not written:
        missing["tokens"] = "the arm counts no tokens"
        return None
    return Tokens.model_validate(
        {"in": round(float(np.mean(read)), 2), "out": round(float(np.mean(written)), 2)}
    )


def _sd_of_seeds(runs: Sequence[Run]) -> float | None:
    means = []
    for seed in sorted({run.seed for run in runs}):
        scores = [s for run in runs if run.seed == seed for s in run.scores]
        means.append(np.mean([s.value if isinstance(s, Score) else 0.0 for s in scores]))
    return round(float(np.std(means, ddof=1)), 6) if len(means) > 1 else None


def _evidence_hash(inputs: ComparisonInputs, cases: Sequence[Case], runs: Sequence[Run]) -> str:
    """Return the hash of task, rows, runs, answers and scores, without any timing."""
    grades = {} if inputs.grades is None else {"grades": sorted(map(str, inputs.grades.items()))}
    return digest(
        {
            "task": inputs.task.hash,
            "cases": sorted(digest(case.plain() | {"where": ""}) for case in cases),
            "looks": inputs.looks,
            "blocks": inputs.blocks,
            **grades,
            "runs": [
                {
                    "spec": run.spec.plain(), "seed": run.seed, "fold": run.fold,
                    "state": run.state, "dev": run.dev,
                    "answers": [[a.case, a.text, a.finish, a.error] for a in run.answers],
                    "scores": [score.model_dump(exclude={"lost"}) for score in run.scores],
                    **({"longer": run.longer} if run.longer else {}),
                }
                for run in runs
            ],
        }
    )  # fmt: skip
