"""Compare two studies on the cases they share, B minus A, pair by pair, with intervals.

Exit code 2 where the two were not scored by the same metric, 5 where one id names other rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tuneworthy.cli._options import Json, print_stderr, show, show_json

Study = Annotated[Path, typer.Argument(help="A results folder, its name, or a verdict.json.")]


def command(first: Study, second: Study, json: Json = False) -> None:
    """Compare two studies on the cases they share: paired differences, SECOND minus FIRST."""
    from tuneworthy.compare.two_studies import compare_studies, ids_with_other_inputs
    from tuneworthy.core.counting import with_verb
    from tuneworthy.core.record import canonical
    from tuneworthy.report.terminal import compare_screen, terminal_size
    from tuneworthy.results_folder import against_ledger, find_results, read_results

    folders = find_results(first), find_results(second)
    one, two = map(read_results, folders)
    for alone in dict.fromkeys(map(against_ledger, folders, (one, two))):
        if alone:
            print_stderr(alone)
    pairs = compare_studies(one, two)
    apart, _ = ids_with_other_inputs(one, two)
    if apart:
        print_stderr(
            f"left out: {with_verb(len(apart), 'case', 'have')} another input under the same id"
        )
    if json:
        named = {key: study.verdict for key, study in (("a", one), ("b", two))}
        heads = {key: {"task": v.task.plain(), "status": v.status} for key, v in named.items()}
        body = {"difference": "b - a", "pairs": [pair.plain() for pair in pairs],
                "left_out": sorted(apart)}  # fmt: skip
        show_json(canonical(heads | body))
    else:
        show(compare_screen(one.verdict, two.verdict, pairs, *terminal_size()))
