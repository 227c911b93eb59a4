"""Name the groups of scored rows, as every bound of a study takes them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tuneworthy.core.split import Split
from tuneworthy.core.task import Task
from tuneworthy.stats.clusters import Groups


def row_groups(
    task: Task, split: Split, ids: Sequence[str], groups: Mapping[str, str] | None = None
) -> Groups:
    """Return the groups of these cases, with the size of the largest possible group.

    `groups` maps a case to its group (those of the split if None).
    """
    known = split.groups if groups is None else groups
    largest = float(task.data.largest_group or 0)
    copies = split.only_copies and not largest
    return Groups(np.array([known.get(i, i) for i in ids]), largest, copies)


def bets_allow_for_groups(task: Task, split: Split) -> bool:
    """Return whether bets on single rows hold: few rows share a group, and no larger one may come.

    Such bets do not allow for a group that is not among the rows.
    """
    return not split.clustered and (task.data.largest_group or 0) <= 1
