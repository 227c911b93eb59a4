"""Hold rows back: the locked ones until `run --unlock`, those that earlier studies have opened.

Which rows are locked depends on their inputs only, not on ids, order, labels or the seed: the same
row is locked in every folder, and a larger share locks the same rows and some more. Words that
almost all inputs begin or end with don't count: one text added to all of them changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tuneworthy.matrix.look_text import level_text, look_line
from tuneworthy.records.audit_report import Observation
from tuneworthy.records.case import HASH_DIGITS, Case
from tuneworthy.records.counting import count_noun, with_verb
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.record import digest
from tuneworthy.records.run import LookScope
from tuneworthy.records.task import CopyRule, Task
from tuneworthy.rows.copies import (
    copy_groups,
    find_copies,
    input_text,
    normalised_text,
    own_texts,
)

LOCKED, _NOT_LOCKED = "locked", "test rows that are not locked"
_REPORTED_GAINS = (0.1, 0.2)  # true gains whose chance to be shown is reported
CasesByFile = dict[str, tuple[Case, ...]]


@dataclass(frozen=True)
class _LockedSplit:
    """The rows that a study uses, by file, and those that it does not; `why` is the reason."""

    files: CasesByFile
    aside: tuple[Case, ...] = ()
    why: str = ""


def split_locked(task: Task, files: CasesByFile, unlock: bool) -> _LockedSplit:
    """Return the files without the locked rows; with `unlock` the locked rows are the test file.

    They are drawn from the scored rows: those of `test` if there is such a file, else of `file` or
    `train`. Raises TaskError if nothing is locked that could be unlocked, and DataError if one side
    would have no rows.
    """
    share, key = task.data.locked, "test" if "test" in files else "main"
    if not share:
        if unlock:
            raise _no_locked_rows(str(task.data.locked))
        return _LockedSplit(files)
    locked_ids = _draw_locked_ids(files, key, task)
    locked = tuple(case for case in files[key] if case.id in locked_ids)
    others = tuple(case for case in files[key] if case.id not in locked_ids)
    if not others or (unlock and not locked):
        raise _one_sided(task, len(locked), len(files[key]))
    if not unlock:
        return _LockedSplit({**files, key: others}, locked, LOCKED)
    if key == "test":
        return _LockedSplit({**files, key: locked}, others, _NOT_LOCKED)
    return _LockedSplit({**files, "main": others, "test": locked})


def _draw_locked_ids(files: CasesByFile, key: str, task: Task) -> set[str]:
    """Return the ids of the locked rows; groups of copies and of `group` are locked whole.

    A group that has a row in the dev file stays open: that row would reveal it.
    """
    share, rule = task.data.locked, task.data.copies
    dev = files.get("dev", ()) if key == "main" else ()
    cases = (*files[key], *dev)
    whole = [normalised_text(input_text(case)) for case in files[key]]
    texts = dict(zip((case.id for case in files[key]), own_texts(whole), strict=True))
    members: dict[int, list[Case]] = defaultdict(list)
    for case, group in zip(cases, copy_groups(find_copies(cases, rule)), strict=True):
        members[group].append(case)
    chosen = {case.id for case in dev}
    return {
        case.id
        for rows in members.values()
        if not any(case.id in chosen for case in rows) and _lock_position(rows, texts) < share
        for case in rows
    }


def _lock_position(rows: Sequence[Case], texts: Mapping[str, str]) -> float:
    """Return the position of a group of rows in [0, 1), from the smallest digest of its inputs.

    `texts` has the own text of each row by its id. The name of a `group` represents all its rows,
    so that added rows change nothing.
    """
    least = min(
        digest(["group", case.group] if case.group is not None else texts[case.id]) for case in rows
    )
    return int(digest(["locked", least], HASH_DIGITS), 16) / float(16**HASH_DIGITS)


def locked_observation(
    locked: Sequence[Case], earlier: int, rule: CopyRule = "near"
) -> Observation:
    """Return the observation for `check` on locked rows that `earlier` studies opened.

    Rows of a group count as alike, and so do copies of an input by the rule.
    """
    from tuneworthy.matrix.design import Design
    from tuneworthy.matrix.detectable import ASSUMED_DIFFERENCE_SHARE as DIFFER
    from tuneworthy.matrix.detectable import chance_shown

    n, look = len(locked), earlier + 1
    rows = with_verb(n, "row", "are")
    if not n:
        text = "no row is locked: none of so few fell into the share of data.locked"
        return Observation(kind="locked", level="warning", text=text, count=0,
                           fix="add rows, or raise data.locked")  # fmt: skip
    design = Design(dict(enumerate(copy_groups(find_copies(locked, rule)))))
    worth = round(design.worth(range(n)))
    chances = [f"{100 * chance_shown(worth, gain, look):.0f} %" for gain in _REPORTED_GAINS]
    text = (
        f"{rows} locked, {studies_text(earlier)}: `tuneworthy run --unlock`"
        f" scores on them alone, as "
        f"look {look} (bounds at {level_text(look)}), and shows a true gain of 10"
        f" points with a chance "
        f"of {chances[0]}, of 20 points {chances[1]} (if two arms differ on {100 * DIFFER:.0f} % "
        "of the rows). They alone show what changes made after reading failed rows gain"
    )
    return Observation(kind="locked", level="note", text=text, count=n)


def _no_locked_rows(got: str) -> TaskError:
    return TaskError(
        "there are no locked rows to unlock",
        where="task.yaml data.locked",
        got=got,
        fix="write `locked: 0.2` under `data:` before rows are read and arms are changed",
    )


def _one_sided(task: Task, locked: int, rows: int) -> DataError:
    return DataError(
        "the locked share leaves no row on one side",
        where=task.data.test or task.data.file or task.data.train or "",
        got=(
            f"{count_noun(rows, 'row')}, of which {locked:,} would be locked (whole"
            f" groups together)"
        ),
        fix="change data.locked, or add rows that belong to no group of these",
    )


_ROWS_FOR_WIDTH = 10_000  # rows, so that rounding does not show in the width of a bound


def input_marks(cases: Collection[Case]) -> dict[str, str]:
    """Return {case id: the mark of its input}, by which a row is known again.

    Ids, answers, system prompts, case, spaces and a text that was added to all inputs don't count:
    a row that was renamed, relabelled or put under another instruction counts as opened before. A
    mark is the digest of the row's own text, and where other rows share words with it that of the
    whole input too (see `store.is_opened`): the row is known again beside rows without them.
    """
    whole = [normalised_text(input_text(case)) for case in cases]
    return {
        case.id: "".join(digest(text, HASH_DIGITS) for text in dict.fromkeys(texts))
        for case, texts in zip(cases, zip(own_texts(whole), whole, strict=True), strict=True)
    }


def input_digests(cases: Collection[Case]) -> tuple[str, ...]:
    """Return the marks of the cases' inputs, sorted and unique."""
    return tuple(sorted(set(input_marks(cases).values())))


def studies_text(earlier: int, what: str = "them") -> str:
    """Return a clause on how many earlier studies opened some cases."""
    many = (
        f"{earlier:,} studies have" if earlier > 1 else "1 study has" if earlier else "no study has"
    )
    return f"{many} opened {what}"


def repeated_look_warning(look: int) -> str:
    """Return a warning that a look repeats an earlier one and widens bounds; "" for a first."""
    if look < 2:
        return ""
    from tuneworthy.matrix.detectable import fresh_rows

    before, now = (fresh_rows(_ROWS_FOR_WIDTH, at) for at in (look - 1, look))
    times = {2: "once", 3: "twice"}.get(look, f"{look - 1:,} times")
    return (
        f"these rows have been looked at {times}; another look widens every bound by about"
        f" {100 * ((before / now) ** 0.5 - 1):.0f} %. `tuneworthy run --dry-run` shows costs and"
        " spends none; rows that no study has opened need no such correction"
    )


def look_observation(earlier: int, scored: int, scope: LookScope) -> Observation | None:
    """Return the observation that `earlier` studies opened these scored cases, None without any."""
    if not earlier or not scored:
        return None
    from tuneworthy.matrix.detectable import fresh_rows

    look = earlier + 1
    text = (
        f"{studies_text(earlier, 'these cases')} (at least 1 in"
        f" 20 of them): another one "
        f"is {look_line(look, scope)}; {scored:,} cases then show what"
        f" {fresh_rows(scored, look):,} "
        "fresh ones would"
    )
    fix = (
        "score on rows that no study has opened: data.locked keeps some, `tuneworthy settle` "
        "supplies them from the inputs of data.unlabelled"
    )
    return Observation(kind="looks", level="warning", text=text, count=earlier, fix=fix)
