"""Write the atlas that the package ships: the entries, with the choices that are made of them.

usage: python -m bench.atlas package      (nothing is measured)
"""

from __future__ import annotations

import json
import lzma
from typing import Any

from bench.atlas.advising import advice_table, advisers_of
from bench.atlas.atlas_data import Atlas, ListedEntry, read_atlas
from bench.atlas.atlas_map import (
    COST_VIEWS,
    VERDICT_ARM_REASON,
    arms_holding_facts,
    build_map,
    card_line,
    choose_arm,
    is_reference,
    model_lines,
    verdict_bound_text,
)
from bench.atlas.entry import Entry
from bench.atlas.findings import findings, measured_figures
from bench.atlas.guesses import guess_data
from bench.atlas.prior import forecast_of

from tuneworthy.lab.claim_results import claim_results
from tuneworthy.records.measured_task import MeasuredTask
from tuneworthy.report import atlas_file
from tuneworthy.report.atlas_file import (
    AtlasCell,
    AtlasTask,
    ChosenArm,
    RecordedAnswer,
    RecordedCase,
)


def write_package_file(atlas: Atlas | None = None) -> int:
    """Write the file of the package from an atlas (None: the shipped entries); return its bytes."""
    atlas = read_atlas(None) if atlas is None else atlas
    lines = [figures(atlas).plain(), *map(_answers, map(atlas.entry, atlas.entries))]
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
    packed = lzma.compress(text.encode(), preset=9)
    atlas_file.ATLAS_FILE.write_bytes(packed)
    return len(packed)


def figures(atlas: Atlas) -> atlas_file.Atlas:
    """Return all figures of an atlas: its map, tasks, advisers, findings and forecast."""
    grid = build_map(atlas)
    cards = [listed.head.card for listed in atlas.entries.values()]
    advisers = advisers_of(cards)
    return atlas_file.Atlas(
        cells=tuple(
            AtlasCell(
                id=cell.id,
                kind=cell.kind,
                size=cell.size,
                key=cell.listed.key if cell.listed else None,
                without=tuple(cell.unscored_arms),
            )
            for _, cells in grid.rows
            for cell in cells
        ),
        tasks=tuple(map(_task, atlas.entries.values())),
        advice=advice_table(cards, advisers),
        guess=guess_data(cards, advisers),
        findings=tuple(findings(measured_figures(atlas, claim_results()))),
        models=grid.models,
        notes=tuple(model_lines(grid.models)),
        forecast=forecast_of(cards),
    )


def _task(listed: ListedEntry) -> AtlasTask:
    card = listed.head.card
    return AtlasTask(
        card=card,
        version=listed.head.version,
        line=card_line(card),
        bound=verdict_bound_text(card),
        chosen=chosen_arms(card),
        notes=tuple(model_lines([card.model])),
        figures_only=listed.head.figures_only,
        references=tuple(arm.name for arm in card.arms if is_reference(arm)),
        holds_facts=tuple(sorted(arms_holding_facts(card))),
    )


def chosen_arms(card: MeasuredTask) -> tuple[ChosenArm, ...]:
    """Return the arm that each view names; equal ones once, with the names of all their views."""
    shown: dict[tuple[Any, ...], list[str]] = {}
    for cost, _ in COST_VIEWS:
        for facts_move in (False, True):
            chosen = choose_arm(card, cost, facts_move)
            why = "" if chosen.why == VERDICT_ARM_REASON else chosen.why
            out = tuple(sorted(arms_holding_facts(card))) if facts_move else ()
            one = (chosen.arm.name if chosen.arm else None, why, out)
            shown.setdefault(one, []).append(f"{cost}-{int(facts_move)}")
    return tuple(
        ChosenArm(views=tuple(views), arm=arm, why=why, left_out=out)
        for (arm, why, out), views in shown.items()
    )


def _answers(entry: Entry) -> dict[str, Any]:
    given: dict[str, list[RecordedAnswer]] = {case.id: [] for case in entry.cases}
    for run in entry.runs:
        if run.counts:
            for case, text, score in zip(run.cases, run.answers, run.scores, strict=True):
                given[case].append(RecordedAnswer(arm=run.arm, text=text, score=score))
    cases = [
        RecordedCase(
            id=case.id, input=case.input, gold=case.output, answers=tuple(given[case.id])
        )
        for case in entry.cases
    ]  # fmt: skip
    return {"key": entry.card.key, "cases": [case.plain() for case in cases]}
