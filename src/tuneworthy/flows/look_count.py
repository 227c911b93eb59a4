"""Count a study's look at the scored rows, warn before another, say what its bounds pay for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tuneworthy.matrix.columns import Column, columns_of
from tuneworthy.measure.refits import score_variances
from tuneworthy.records.answer import Score
from tuneworthy.records.audit_report import Observation
from tuneworthy.records.case import HASH_DIGITS, Case
from tuneworthy.records.plan import Plan
from tuneworthy.records.record import digest
from tuneworthy.records.run import Run
from tuneworthy.rows.fingerprint import rows_digest
from tuneworthy.rows.load import Loaded
from tuneworthy.rows.locked import (
    input_digests,
    input_marks,
    locked_observation,
    look_observation,
    repeated_look_warning,
)
from tuneworthy.store.elsewhere import (
    ShownLook,
    next_look,
    note_shown,
    record_look,
    release_look,
    retake_look,
    shown_looks,
    shown_parts,
)
from tuneworthy.store.store import RETAKEN_LOOK, Ledger, read_ledger


def looks_so_far(loaded: Loaded, cases: Sequence[Case]) -> Iterator[Observation]:
    """Yield audit observations on earlier looks at the scored cases and the locked rows."""
    task = loaded.task
    with read_ledger(task.folder) as ledger:
        yield from _look_observations(ledger, loaded, cases)


def _look_observations(
    ledger: Ledger | None, loaded: Loaded, cases: Sequence[Case]
) -> Iterator[Observation]:
    scored, locked = (
        next_look(ledger, "", rows_digest(rows), input_digests(rows))
        for rows in (cases, loaded.aside)
    )
    if observation := look_observation(scored.look - 1, len(cases), scored.scope):
        yield observation
    if loaded.task.data.locked:
        yield locked_observation(loaded.aside, locked.look - 1, loaded.task.data.copies)
    if scored.trouble:
        yield Observation(kind="looks_unknown", level="note", text=scored.trouble, count=0)


def is_counted(ledger: Ledger, study: str) -> bool:
    """Return whether the ledger has counted a study's look at the scored rows."""
    return any(row.study == study for row in ledger.journal.rows("look"))


def count_look(session: Any, runs: Sequence[Run]) -> None:
    """Count an open session's look once an arm is measured, and drop inputs with an old count."""
    if any(run.state == "measured" for run in runs) and session.looks.look != session.inputs.looks:
        del session.inputs  # another study looked meanwhile: its look widens this one's bounds


def look_warning(ledger: Ledger, study: str, rows: str, marks: Sequence[str]) -> str:
    """Return the warning before another look at these rows; "" for the first or a counted one."""
    if is_counted(ledger, study):
        return ""
    return repeated_look_warning(next_look(ledger, study, rows, marks).look)


_REFITS_KIND = "scores on further partitions"
_AnswerRow = tuple[str, str, float | None]  # input digest, answer, score (None: unscored)


def end_look(session: Any, plan: Plan, runs: Sequence[Run]) -> None:
    """End a study's look: refit cheap arms on other partitions, once; then `charge_look`."""
    if session.ledger.frozen(session.study, _REFITS_KIND) is None and len(_candidates(runs)) > 1:
        found = score_variances(session.runner(), session.loaded, plan, runs)
        session.ledger.freeze(session.study, _REFITS_KIND, found)
        vars(session).pop("inputs", None)
    charge_look(session, runs)


def charge_look(session: Any, runs: Sequence[Run]) -> None:
    """Keep or release a study's counted look, by whether its answers are new; store their digests.

    It is released if the study compared no arms, or references alone. It is released too if one
    earlier study showed the same answers with the same scores to the same cases, whatever its
    margin, prices or further arms: that study's look is this one's. An earlier study of a part of
    these cases paid for the answers that are the same; one that had a single candidate, whose
    answers these are, compared nothing and is not counted.
    """
    ledger, study = session.ledger, session.study
    if not is_counted(ledger, study):  # nothing was scored at all
        return
    rows, inputs = session.scored_rows_identity()
    measured = [run for run in runs if run.state == "measured"]
    if len({r.spec.name for r in measured}) < 2 or all(
        r.spec.role == "reference" for r in measured
    ):
        release_look(ledger, study, rows)
        return
    marks, columns = _digest_by_case(session), _candidates(runs)
    table = [_answer_rows(each, marks) for each in columns]
    own, every = sorted(_arm_digest(each, inputs) for each in table), frozenset(inputs)
    others = [one for one in shown_looks(ledger, study) if one.marks & every]
    same = [one for one in others if one.marks == every and set(own) <= set(one.arms)]
    if same and ledger.frozen(study, RETAKEN_LOOK) is None:
        release_look(ledger, study, rows)
    else:
        retake_look(ledger, study, rows)
        same = []
    alone = sum(
        len(one.arms) < 2 and one.marks == every and set(own) >= set(one.arms) for one in others
    )
    count = record_look(ledger, study, rows, inputs).look - (0 if same else alone)
    earlier = tuple(_earlier_parts(session, others, table, marks))
    look = ShownLook(study, rows, every, max(1, count), tuple(own), earlier)
    folds = {each.spec.name: len(set(each.fold.values())) for each in columns}
    note_shown(ledger, look, folds, same[0] if same else None)
    session.looks = record_look(ledger, study, rows, inputs)
    vars(session).pop("inputs", None)


def _candidates(runs: Sequence[Run]) -> list[Column]:
    return [each for each in columns_of(runs).values() if each.spec.role == "candidate"]


def _digest_by_case(session: Any) -> dict[str, str]:
    """Return {case id: digest of its input} of the scored cases."""
    return input_marks(session.sealed.open("compare").values())


def _answer_rows(each: Column, marks: Mapping[str, str]) -> list[_AnswerRow]:
    return [
        (marks[i], answer.text, score.value if isinstance(score, Score) else None)
        for i, (answer, score) in each.cells.items()
    ]


def _arm_digest(answers: Sequence[_AnswerRow], inputs: Collection[str]) -> str:
    """Return a digest of an arm's answers and scores to the cases with these inputs."""
    within = frozenset(inputs)
    return digest(sorted(repr(row) for row in answers if row[0] in within), HASH_DIGITS)


def _earlier_parts(
    session: Any,
    others: Sequence[ShownLook],
    table: Sequence[Sequence[_AnswerRow]],
    marks: Mapping[str, str],
) -> Iterator[tuple[int, float]]:
    """Yield (look, rows) of each earlier look at a part of these cases and the same answers.

    Each holds the cases of the one before. Rows count by groups where that makes the part smaller.
    """
    seen: frozenset[str] = frozenset()
    for one in others:
        within = [name for name, mark in marks.items() if mark in one.marks]
        whole = seen < one.marks and len(within) < len(marks)
        if whole and all(_arm_digest(rows, one.marks) in one.arms for rows in table):
            seen, groups = one.marks, session.split.groups
            share = min(len(within) / len(marks), _weight(groups, within) / _weight(groups, marks))
            yield one.look, share * len(marks)


def _weight(groups: Mapping[str, str], names: Iterable[str]) -> int:
    """Return the sum of squared group sizes: variance of a sum if rows of a group are alike."""
    return sum(size**2 for size in Counter(groups.get(name, name) for name in names).values())


def bounds_pay_for(session: Any) -> dict[str, Any]:
    """Return fields of `ComparisonInputs` by which bounds pay for looks: look, arms, folds, refits.

    That are its look, what earlier looks paid, and of a staged study the arms that may run and the
    numbers of folds after which each was looked at so far.
    """
    ledger, study = session.ledger, session.study
    count = session.looks if is_counted(ledger, study) else session.uncounted_look()
    found = {"looks": count.look, "earlier": count.earlier, "possible_arms": count.arms,
             "refits": ledger.frozen(study, _REFITS_KIND) or {}}  # fmt: skip
    stored = ledger.frozen(study, "plan")
    if not stored or not stored.get("staged"):
        return found
    plan = Plan.model_validate(stored)
    looked = plan.looks_at
    for part in shown_parts(ledger, study):
        for name, folds in part["folds"].items():
            looked[name] = (*looked.get(name, ()), folds)
    return {
        **found,
        "possible_arms": max(plan.possible_arms, count.arms),
        "folds": plan.folds_by_arm,
        "looked": looked,
    }


def spent_before(session: Any) -> dict[str, Any]:
    """Return {"spent": looks, arms and refits that bounds pay for beyond plan and look}; or {}."""
    looked = {name: sorted(set(at)) for name, at in session.inputs.looked.items()}
    several = len(shown_parts(session.ledger, session.study)) > 1
    arms, earlier = session.looks.arms, session.looks.earlier
    found = {"looked": looked if several else {}, "arms": arms, "earlier": [*map(list, earlier)],
             "refits": dict(session.inputs.refits)}  # fmt: skip
    spent = {key: value for key, value in found.items() if value}
    return {"spent": spent} if spent else {}
