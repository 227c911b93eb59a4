"""Check a log of served requests against a finished study: read, compare, conclude.

Nothing is sent and nothing is written. handover/conclusion.py holds the rule of the conclusion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.handover import live_answers
from tuneworthy.handover.artefact_folder import expiry_of, opened_at
from tuneworthy.handover.conclusion import ERROR_SHARES, conclude
from tuneworthy.handover.live_answers import StudyArm, facts_moment, moved_facts, utc_now
from tuneworthy.handover.live_inputs import GroupedInputs, compare_inputs
from tuneworthy.handover.request_log import RequestLog, read_log, requests_to_builds
from tuneworthy.matrix.columns import by_spec, column
from tuneworthy.measure.further.freshness_rate import NEEDS_OF_READERS, freshness_of
from tuneworthy.measure.further.training_size_curve import LEARNER_TOOLS
from tuneworthy.metrics import JUDGE, metric_name, scorer
from tuneworthy.metrics._validity import validity
from tuneworthy.records.case import Case, LoggedRequest
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.evidence import ArmResult
from tuneworthy.records.live_check import LiveCheck
from tuneworthy.records.results import Results
from tuneworthy.records.specs import needs_of_arm
from tuneworthy.records.split import Split
from tuneworthy.records.task import Task
from tuneworthy.report.results_folder import open_study
from tuneworthy.rows.bad_rows import MOST_UNREAD, RowFault
from tuneworthy.rows.copies import normalised_text
from tuneworthy.rows.docs import read_docs
from tuneworthy.rows.rows import read_rows, sortable_time, to_case
from tuneworthy.rows.taskfile import read_task
from tuneworthy.store.store import read_ledger

_FROM_SETTLING = (
    "the right answers come from settling, which asks only where the finalists differ: such"
    " requests are not like the study's rows"
)

_NO_ANSWERS = "the log has no answers"


@dataclass(frozen=True)
class WatchOptions:
    """How a log is checked.

    `arm`: the arm in use (None: the one that the verdict names). `gold`: a file of rows with right
    answers, matched by their input. `show`: return the texts of unlike inputs. `now`: the present
    moment as an ISO date (None: by the clock). `most_unread`: the share of lines that
    may be unreadable.
    """

    arm: str | None = None
    gold: Path | None = None
    show: bool = False
    now: str | None = None
    most_unread: float = MOST_UNREAD


def check_live(path: Path, log: Path, options: WatchOptions = WatchOptions()) -> LiveCheck:
    """Return the comparison of a log with the finished study of a task, and its conclusion.

    Raises TaskError if there is no finished study, no such arm or no such log, DataError if the
    log, the documents or the file of right answers can't be used, and StoreError if the results are
    not those that the ledger beside them holds.
    """
    task = read_task(path)
    opened = open_study(task.folder)
    study = opened.results
    if study.task.name != task.name:
        raise TaskError(
            "the latest study of this folder is of another task",
            where=str(opened.folder),
            got=f"{study.task.name}, not {task.name}",
            fix="run this task first: `tuneworthy run`",
        )
    whole = read_log(log, options.most_unread)
    made = _study_opened_at(task.folder, study)
    facts = _StudyNow(task, study, made, options.now or utc_now())
    arm = _arm_in_use(study, options.arm)
    kind = next((run.spec.arm for run in study.runs if arm and run.spec.name == arm.name), "")
    requests = requests_to_builds(whole, task.name, kind)
    found = _measure_log(facts, arm, requests, options)
    left_out = len(whole.requests) - len(requests.requests)
    found = found.model_copy(update={"other_names": left_out})
    return found.model_copy(update={"conclusion": conclude(found)})


@dataclass(frozen=True)
class _StudyNow:
    """A task as it is now, its study, when that opened its rows (`opened_on`), and today's date."""

    task: Task
    study: Results
    opened_on: str | None
    today: str


def _measure_log(
    facts: _StudyNow, arm: ArmResult | None, log: RequestLog, options: WatchOptions
) -> LiveCheck:
    task, study = facts.study.task.at(facts.task.folder), facts.study
    reads_docs = arm is not None and _reads_docs(study, arm.name)
    runs = by_spec(study.runs).get(arm.name, []) if arm else []
    measured = column(runs) if runs else None
    split = study.split or Split(k=1, parts=())
    ours = StudyArm(measured, split, task) if measured else None
    times = sorted((one.time for one in log.requests if one.time), key=sortable_time)
    gold = _read_gold_rows(options.gold) if options.gold else None
    docs = facts.task.data.docs
    taken: dict[str, Any] = {
        **_input_measures(study, log.requests, options.show),
        **_answer_facts(task, ours, log.requests),
        "score": _score_labelled(task, study, ours, _answered(log.requests), gold),
        "facts": moved_facts(read_docs(facts.task.folder / docs, docs) if docs else (),
                             log.requests, facts_moment(study.cases, facts.opened_on), facts.today,
                             ERROR_SHARES["facts"]),
    }  # fmt: skip
    staleness = study.evidence.staleness or freshness_of(task, (), ())
    limits = task.success.limits
    return LiveCheck(
        log=log.name,
        requests=log.total,
        used=len(log.requests),
        first_time=times[0] if times else None,
        last_time=times[-1] if times else None,
        bad_lines=log.bad,
        bad=tuple(f"{fault.place()}: {fault.why}" for fault in log.faults),
        others=log.other_spans,
        without_input=sum(one.input is None for one in log.requests),
        without_answer=sum(one.answer is None for one in log.requests),
        unclear_gold=gold.unclear if gold else 0,
        models=dict(Counter(one.model for one in log.requests if one.model).most_common(5)),
        study=str(study.reproduce.get("study", ""))[:8],
        made=facts.opened_on,
        arm=arm.name if arm else None,
        tool=arm.tool if arm else None,
        learns=arm is not None and arm.tool in LEARNER_TOOLS,
        learnt_rows=round(sum(arm.learnt_from) / 2) if arm and arm.learnt_from else None,
        reads_docs=reads_docs,
        margin=task.success.margin,
        valid_limit=limits.valid,
        p95_limit=limits.p95_ms,
        stale_ok=staleness.stale_ok,
        expiry=expiry_of(facts.opened_on, staleness, arm, reads_docs, facts.today),
        **{key: value for key, value in taken.items() if not isinstance(value, str)},
        missing={key: value for key, value in taken.items() if isinstance(value, str)},
    )


def _input_measures(
    study: Results, requests: Sequence[LoggedRequest], show: bool
) -> dict[str, Any]:
    copies = study.split.groups if study.split else {}
    groups = [case.group or copies.get(case.id) for case in study.cases]
    known = GroupedInputs(
        [case.input for case in study.cases],
        [live_answers.group_name(group, case.input)
         for group, case in zip(groups, study.cases, strict=True)],
    )  # fmt: skip
    given = [one for one in requests if one.input is not None]
    new = GroupedInputs(
        [one.input or "" for one in given],
        [live_answers.group_name(one.group, one.input) for one in given],
        [one.line for one in given],
    )
    found = compare_inputs(known, new, ERROR_SHARES["inputs"], show)
    return {"inputs": found.drift or found.because, "unlike": found.unlike or found.because}


def _answered(requests: Sequence[LoggedRequest]) -> list[LoggedRequest]:
    """Return the requests whose answer is logged or that failed; of the others nothing is known."""
    return [one for one in requests if one.answer is not None or one.failed]


def _answer_facts(
    task: Task, arm: StudyArm | None, requests: Sequence[LoggedRequest]
) -> dict[str, Any]:
    """Return validity, lengths, latency and labels by name; a reason in place of a missing one."""
    answered, limit = _answered(requests), task.success.limits.p95_ms
    slow = "no limit is set (success.limits.p95_ms)" if limit is None else (
        live_answers.slower_than(limit, requests, ERROR_SHARES["slow"])
    )  # fmt: skip
    if not answered:
        missing: dict[str, Any] = dict.fromkeys(
            ("valid", "length", "latency", "labels"), _NO_ANSWERS
        )
        return missing | {"slow": slow}
    return {
        "valid": live_answers.validity_of(arm, answered, validity(task), ERROR_SHARES["valid"]),
        "slow": slow,
        **_compare_with_arm(task, arm, answered),
    }


def _compare_with_arm(
    task: Task, arm: StudyArm | None, answered: Sequence[LoggedRequest]
) -> dict[str, Any]:
    if arm is None:
        return dict.fromkeys(("length", "latency", "labels"), live_answers.NO_ARM)
    labels: Any = "the answers are no labels"
    if task.output.type == "label" and task.output.labels:
        labels = live_answers.labels_of(arm, answered, task.output.labels, ERROR_SHARES["labels"])
    length = live_answers.length_of(arm.answers, [live_answers.answer_of(a) for a in answered])
    times = arm.milliseconds(), [1000 * s for one in answered if (s := one.seconds) is not None]
    latency: Any = "the study timed no request of this arm" if not times[0] else (
        "the log has no `seconds`"
    )  # fmt: skip
    if all(times):
        latency = live_answers.spread_of(times[0], times[1], "milliseconds")
    return {"labels": labels, "latency": latency, "length": length}


def _score_labelled(
    task: Task,
    study: Results,
    arm: StudyArm | None,
    requests: Sequence[LoggedRequest],
    gold: _GoldRows | None,
) -> Any:
    """Return the score on requests with a right answer, or a text: why it is not measured."""
    if metric_name(task) == JUDGE or study.grades is not None:
        return "the score is a judge's: nothing is sent here"
    if not requests:
        return _NO_ANSWERS
    metric = scorer(task)
    if metric.by_set:
        return "the metric scores all answers of an arm together, not single ones"
    labelled = live_answers.with_gold(requests, gold.cases if gold else {})
    if gold and not labelled:
        return f"no row of {gold.name} has the input of a request"
    why = _FROM_SETTLING if gold and gold.settled else ""
    return live_answers.score_of(arm, labelled, metric, ERROR_SHARES["score"], why)


@dataclass(frozen=True)
class _GoldRows:
    """The rows of a file of right answers, by normalised input; `settled`: settling made them.

    `unclear` inputs have rows with different right answers (such as conversations with one last
    turn) and are left out.
    """

    name: str
    cases: Mapping[str, Case]
    settled: bool
    unclear: int


def _read_gold_rows(path: Path) -> _GoldRows:
    """Read the right answers of a file, by input. Raises TaskError or DataError if unusable."""
    if not path.exists():
        raise TaskError("there is no such file of right answers", where="--gold", got=str(path),
                        fix='name a file of {"input", "output"} rows')  # fmt: skip
    cases, unclear, settled = dict[str, Case](), set[str](), False
    for raw in read_rows(path, path.name):
        case = raw if isinstance(raw, RowFault) else to_case(raw)
        if isinstance(case, RowFault):
            raise DataError(f"a right answer can't be read: {case.why}", where=case.place(),
                            got=case.got, fix=case.fix)  # fmt: skip
        key = normalised_text(case.input)
        if _compared_values(cases.setdefault(key, case)) != _compared_values(case):
            unclear.add(key)
        settled = settled or case.meta.get("from") == "settle"
    clear = {key: case for key, case in cases.items() if key not in unclear}
    return _GoldRows(path.name, clear, settled, len(unclear))


def _compared_values(case: Case) -> tuple[Any, ...]:
    """Return what metrics compare an answer with."""
    return case.output, case.accepted, case.must_say, case.must_not_say


def _study_opened_at(home: Path, study: Results) -> str | None:
    """Return the time at which the study opened its rows, by its ledger; None without a ledger."""
    with read_ledger(home) as ledger:
        if ledger is None:
            return None
        return opened_at(ledger.doors(str(study.reproduce.get("study", ""))))


def _arm_in_use(study: Results, name: str | None) -> ArmResult | None:
    """Return the arm called `name`, by default the verdict's; None if the verdict names none.

    Raises TaskError for an unknown name.
    """
    wanted = name or study.verdict.arm
    arms = {arm.name: arm for arm in study.evidence.arms}
    if wanted is not None and wanted not in arms:
        raise TaskError("the study has no such arm", where="--arm", got=wanted,
                        fix=f"name one of {', '.join(arms)}")  # fmt: skip
    return arms.get(wanted or "")


def _reads_docs(study: Results, name: str) -> bool:
    specs = [run.spec for run in study.runs if run.spec.name == name]
    return bool(specs) and bool(needs_of_arm(specs[0]) & NEEDS_OF_READERS)
