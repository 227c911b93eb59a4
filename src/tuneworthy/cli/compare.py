"""Compare two studies on the cases they share, B minus A, pair by pair, with intervals.

Exit code 2 where the two were not scored by the same metric, 5 where one id names other rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import Json, said, show, show_json

Study = Annotated[Path, typer.Argument(help="A results folder, its name, or a verdict.json.")]


def command(first: Study, second: Study, json: Json = False) -> None:
    """Compare two studies on the cases they share: paired differences, SECOND minus FIRST."""
    from tuneworthy.compare.two_studies import between, others
    from tuneworthy.core.counting import doing
    from tuneworthy.core.record import canonical
    from tuneworthy.report.terminal import compare_screen, room
    from tuneworthy.results_folder import against_ledger, find, read

    folders = find(first), find(second)
    one, two = map(read, folders)
    for alone in dict.fromkeys(map(against_ledger, folders, (one, two))):
        if alone:
            said(alone)
    pairs = between(one, two)
    apart, _ = others(one, two)
    if apart:
        said(f"left out: {doing(len(apart), 'case', 'have')} another input under the same id")
    if json:
        named = {key: study.verdict for key, study in (("a", one), ("b", two))}
        heads = {key: {"task": v.task.plain(), "status": v.status} for key, v in named.items()}
        body = {"difference": "b - a", "pairs": [pair.plain() for pair in pairs],
                "left_out": sorted(apart)}  # fmt: skip
        show_json(canonical(heads | body))
    else:
        show(compare_screen(one.verdict, two.verdict, pairs, *room()))
