"""Split rows into training, dev and test: folds, one split, forward chaining.

All choices depend on the seed and the cases' ids only, not on the order of the rows. Rows of one
group, and copies and near-copies of an input, always go to the same part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tuneworthy.records.case import Case
from tuneworthy.records.errors import DataError
from tuneworthy.records.split import Part as Part
from tuneworthy.records.split import Split as Split
from tuneworthy.records.task import recorded_files
from tuneworthy.rows.copies import copy_groups
from tuneworthy.rows.load import Loaded
from tuneworthy.rows.reading import seeded_hash
from tuneworthy.rows.rows import sortable_time

ONE_SPLIT_FROM = 1_000  # labelled rows from which one split replaces the folds
_DEFAULT_FOLDS, _TEST_SHARE = 5, 0.3
_DEV_LEAST, _DEV_MOST = 40, 300
_MOST_DEV_SHARE_OF_FEW_ROWS = 0.25  # with few rows: the largest share held out to reach _DEV_LEAST


@dataclass(frozen=True)
class _Rows:
    """The rows of a split, as groups in the order of time (`by_time`) or of a seeded draw.

    `by_label`: the folds are stratified by label.
    """

    groups: tuple[tuple[Case, ...], ...]
    seed: int
    by_label: bool
    by_time: bool


def split(loaded: Loaded, k: int | None = None) -> Split:
    """Return the folds of the rows: one with a test file, else `k`, else the task's number.

    The number `auto` means five, or one from ONE_SPLIT_FROM rows on. If the groups of rows are
    fewer, so are the folds.

    With forward chaining, recorded answers are scored on the earliest rows too, which form an extra
    last part. Raises DataError if the rows are too few (or too similar) to be split at all.
    """
    rows = _ordered_groups(loaded)
    scored = rows.groups if loaded.test is None else _copy_groups_of(loaded, loaded.test)
    copies = frozenset() if loaded.copies.rule == "off" else _later_copies(loaded.cases)
    if loaded.test is not None:
        parts = [_make_fold(loaded, rows.groups, tuple(case.id for case in loaded.test), rows)]
    elif k is None and loaded.task.data.folds == "auto" and len(loaded.cases) >= ONE_SPLIT_FROM:
        parts = [_held_out_fold(loaded, rows)]
    else:
        wanted = k or (
            _DEFAULT_FOLDS if loaded.task.data.folds == "auto" else loaded.task.data.folds
        )
        parts = _make_folds(loaded, rows, int(wanted))
    gone = {copy for part in parts for copy in copies if copy not in part.test}
    parts = [_without_copies(part, copies) for part in parts]
    k = len(parts)
    if rows.by_time and recorded_files(loaded.task):
        parts += _early_fold(loaded, parts)
    return Split(
        k=k,
        parts=tuple(parts),
        by_time=rows.by_time,
        copies=tuple(sorted(gone)),
        groups={case.id: group[0].id for group in scored if len(group) > 1 for case in group},
        only_copies=all(case.group is None for case in loaded.everyone),
    )


def _early_fold(loaded: Loaded, parts: Sequence[Part]) -> list[Part]:
    """Return a fold of the rows too early to be scored after training, [] if there are none.

    Recorded answers are not trained here, so they are scored on every row.
    """
    scored = {case_id for part in parts for case_id in part.test}
    rest = tuple(sorted(case.id for case in loaded.cases if case.id not in scored))
    return [Part(train=(), dev=(), test=rest)] if rest else []


def _without_copies(part: Part, copies: frozenset[str]) -> Part:
    return Part(
        train=tuple(case_id for case_id in part.train if case_id not in copies),
        dev=tuple(case_id for case_id in part.dev if case_id not in copies),
        test=part.test,
    )


def _later_copies(cases: Sequence[Case]) -> frozenset[str]:
    """Return the ids of rows that are exact copies of a row with a smaller id."""
    first: dict[tuple[object, ...], str] = {}
    gone = set()
    for case in sorted(cases, key=lambda case: case.id):
        key = (case.messages, case.output)
        if first.setdefault(key, case.id) != case.id:
            gone.add(case.id)
    return frozenset(gone)


def _ordered_groups(loaded: Loaded) -> _Rows:
    cases, seed = loaded.cases, loaded.task.seed
    groups = _copy_groups_of(loaded, cases)
    groups.sort(key=lambda rows: seeded_hash(seed, rows[0].id))
    by_time = all(case.time is not None for case in cases) and loaded.test is None
    if by_time:  # order a group by its last row, so that no row trains before its time
        groups.sort(key=lambda rows: max(sortable_time(case.time or "0") for case in rows))
    return _Rows(tuple(groups), seed, loaded.task.output.type == "label", by_time)


def _copy_groups_of(loaded: Loaded, cases: Sequence[Case]) -> list[tuple[Case, ...]]:
    """Return some rows as groups; copies in other files connect them too."""
    mine = {case.id for case in cases}
    members: dict[int, list[Case]] = defaultdict(list)
    for case, group in zip(loaded.everyone, copy_groups(loaded.copies), strict=True):
        if case.id in mine:
            members[group].append(case)
    return [tuple(sorted(rows, key=lambda case: case.id)) for rows in members.values()]


def _held_out_fold(loaded: Loaded, rows: _Rows) -> Part:
    wanted = round(_TEST_SHARE * len(loaded.cases))
    _check_enough_groups(len(rows.groups), 2, loaded)
    test = (
        rows.groups[-_count_last_groups(rows.groups, wanted) :]
        if rows.by_time
        else _drawn_groups(rows, wanted)
    )
    return _make_fold(loaded, _groups_except(rows.groups, test), _ids_in_groups(test), rows)


def _make_folds(loaded: Loaded, rows: _Rows, k: int) -> list[Part]:
    _check_enough_groups(len(rows.groups), 2, loaded)
    if rows.by_time:
        blocks = _consecutive_blocks(rows.groups, min(k + 1, len(rows.groups)))
        return [
            _make_fold(loaded, sum(blocks[:block], ()), _ids_in_groups(blocks[block]), rows)
            for block in range(1, len(blocks))
        ]
    blocks = _balanced_blocks(rows, min(k, len(rows.groups)))
    return [
        _make_fold(loaded, _groups_except(rows.groups, block), _ids_in_groups(block), rows)
        for block in blocks
    ]


Groups = tuple[tuple[Case, ...], ...]


def _check_enough_groups(groups: int, least: int, loaded: Loaded) -> None:
    if groups < least:
        raise DataError(
            "the rows can't be split: nothing would be left to learn from",
            where=loaded.task.data.file or loaded.task.data.train or "",
            got=f"{len(loaded.cases)} rows that are copies of each other or of one group",
            fix="add rows that differ, or name a test file: `test:`",
        )


def _ids_in_groups(groups: Groups) -> tuple[str, ...]:
    return tuple(sorted(case.id for rows in groups for case in rows))


def _groups_except(groups: Groups, taken: Groups) -> Groups:
    gone = {rows[0].id for rows in taken}
    return tuple(rows for rows in groups if rows[0].id not in gone)


def _majority_label(rows: Sequence[Case]) -> str:
    if len(rows) == 1:
        return rows[0].output
    counts = Counter(case.output for case in rows)
    return min(counts, key=lambda label: (-counts[label], label))


def _balanced_blocks(rows: _Rows, k: int) -> list[Groups]:
    """Return k blocks of groups, similar in size and in the mixture of labels."""
    blocks: list[list[tuple[Case, ...]]] = [[] for _ in range(k)]
    size, held = [0] * k, [Counter[str]() for _ in range(k)]
    for group in sorted(rows.groups, key=len, reverse=True):  # stable: ties keep the seed's order
        label = _majority_label(group) if rows.by_label else ""
        best = min(range(k), key=lambda block: (held[block][label], size[block], block))
        blocks[best].append(group)
        size[best] += len(group)
        held[best][label] += len(group)
    return [tuple(block) for block in blocks if block]


def _consecutive_blocks(groups: Groups, k: int) -> list[Groups]:
    """Return k consecutive blocks of groups, similar in size."""
    total, done = sum(map(len, groups)), 0
    blocks: list[list[tuple[Case, ...]]] = [[] for _ in range(k)]
    for group in groups:
        middle = done + len(group) / 2
        blocks[min(k - 1, int(k * middle / total))].append(group)
        done += len(group)
    return [tuple(block) for block in blocks if block]


def _count_last_groups(groups: Groups, wanted: int) -> int:
    """Return how many groups at the end hold about `wanted` rows together; never all groups."""
    held = 0
    for count in range(1, len(groups)):
        held += len(groups[-count])
        if held >= wanted:
            return count
    return len(groups) - 1


def _drawn_groups(rows: _Rows, wanted: int, groups: Groups | None = None) -> Groups:
    """Return random groups with about `wanted` rows in all, stratified by label; never all."""
    pool = rows.groups if groups is None else groups
    taken, held = [], 0
    for group in _stratified_order(pool, rows)[:-1]:
        if held + len(group) / 2 <= wanted:
            taken.append(group)
            held += len(group)
    return tuple(taken)


def _stratified_order(groups: Groups, rows: _Rows) -> list[tuple[Case, ...]]:
    """Return the groups in an order in which every prefix has the labels in proportion."""
    by: dict[str, list[tuple[Case, ...]]] = defaultdict(list)
    for group in groups:
        by[_majority_label(group) if rows.by_label else ""].append(group)
    placed = [
        ((index + 0.5) / len(members), seeded_hash(rows.seed + 1, group[0].id), group)
        for members in by.values()
        for index, group in enumerate(members)
    ]
    return [group for *_, group in sorted(placed, key=lambda entry: entry[:2])]


def _make_fold(loaded: Loaded, learn: Groups, test: tuple[str, ...], rows: _Rows) -> Part:
    """Return one fold; its dev rows come from the user's dev file, else from the training rows."""
    if loaded.dev is not None:
        dev = tuple(sorted(case.id for case in loaded.dev))
        return Part(train=_ids_in_groups(learn), dev=dev, test=test)
    size = dev_size(sum(map(len, learn)), loaded.task.data.dev_share)
    if size == 0 or len(learn) < 2:
        return Part(train=_ids_in_groups(learn), dev=(), test=test)
    held = (
        learn[-_count_last_groups(learn, size) :]
        if rows.by_time
        else _drawn_groups(rows, size, learn)
    )
    return Part(
        train=_ids_in_groups(_groups_except(learn, held)), dev=_ids_in_groups(held), test=test
    )


def dev_size(rows: int, share: float) -> int:
    """Return the number of dev rows: the share, at most 300 rows and never above half.

    With few rows dev gets more than its share, up to 40, so that a choice on it means something;
    but no more than a quarter of the rows, because dev rows are not trained on.
    """
    least = min(_DEV_LEAST, int(_MOST_DEV_SHARE_OF_FEW_ROWS * rows))
    return min(max(round(share * rows), least), _DEV_MOST, rows // 2)
