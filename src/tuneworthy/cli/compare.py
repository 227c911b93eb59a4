"""Compare two studies on the cases they share, B minus A, pair by pair, with intervals.

Exit code 2 where the two were not scored by the same metric.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import Json, show

Study = Annotated[Path, typer.Argument(help="A results folder, its name, or a verdict.json.")]


def command(first: Study, second: Study, json: Json = False) -> None:
    """Compare two studies on the cases they share: paired differences, SECOND minus FIRST."""
    from tuneworthy.core.record import canonical
    from tuneworthy.matrix.two_studies import between
    from tuneworthy.report.terminal import compare_screen, room
    from tuneworthy.shelf import find, read

    one, two = read(find(first)), read(find(second))
    pairs = between(one, two)
    if json:
        named = {key: study.verdict for key, study in (("a", one), ("b", two))}
        heads = {key: {"task": v.task.plain(), "status": v.status} for key, v in named.items()}
        told = {"difference": "b - a", "pairs": [pair.plain() for pair in pairs]}
        print(canonical(heads | told))
    else:
        show(compare_screen(one.verdict, two.verdict, pairs, *room()))
