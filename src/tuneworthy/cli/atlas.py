"""Show which strategy wins on which type of task."""

from __future__ import annotations

from tuneworthy.cli._options import Json, show, show_json


def command(json: Json = False) -> None:
    """Print the map: types of task by number of rows, each cell's winner with its bound."""
    from tuneworthy.records.record import canonical
    from tuneworthy.report.atlas import atlas_json, atlas_screen
    from tuneworthy.report.atlas_file import read_atlas
    from tuneworthy.report.screen import terminal_size

    if json:
        show_json(canonical(atlas_json(read_atlas())))
    else:
        show(atlas_screen(read_atlas(), *terminal_size()))
