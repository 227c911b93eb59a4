"""Show who predicts the winning tool: rules, models, people."""

from __future__ import annotations

from tuneworthy.cli._options import Json, show, show_json


def command(json: Json = False) -> None:
    """Show who predicts the winning tool, and how many points are lost by following the advice.

    The tasks are those of the atlas, whose winner was measured. Advisers are rules of thumb, the
    five-question checklist, and programs and models whose answers were recorded.
    """
    from tuneworthy.records.record import canonical
    from tuneworthy.report.atlas import advice_json, advice_screen
    from tuneworthy.report.atlas_file import read_atlas
    from tuneworthy.report.screen import terminal_size

    table = read_atlas().advice
    if json:
        show_json(canonical(advice_json(table)))
    else:
        show(advice_screen(table, *terminal_size()))
