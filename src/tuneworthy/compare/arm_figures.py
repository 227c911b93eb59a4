"""Measure the figures of the plug-in folder `figures/` for every arm. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tuneworthy.core.case import Case
from tuneworthy.core.evidence import ArmResult, Figure
from tuneworthy.core.plugins import catalogue, load
from tuneworthy.matrix.matrix import Matrix


def with_figures(
    matrix: Matrix, cases: Sequence[Case], arms: Sequence[ArmResult]
) -> tuple[ArmResult, ...]:
    """Return the arms with each figure that can be said of at least one of their answers."""
    by_id = {case.id: case for case in cases}
    return tuple(
        arm.model_copy(update={"figures": _figures_of(matrix, by_id, arm.name)})
        if arm.name in matrix.columns
        else arm
        for arm in arms
    )


def _figures_of(matrix: Matrix, cases: Mapping[str, Case], arm: str) -> dict[str, Figure]:
    cells, found = matrix.columns[arm].cells, dict[str, Figure]()
    for name in catalogue("figures"):
        plugin = load("figures", name)
        told = {i: plugin.holds(matrix.inputs.task, cases[i], cells[i][0]) for i in sorted(cells)}
        if flags := {i: flag for i, flag in told.items() if flag is not None}:
            share = matrix.share(arm, flags).interval
            found[name] = Figure(says=plugin.SAYS, n=len(flags), **share.plain())
    return found
