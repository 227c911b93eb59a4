"""A Trackio run of the verdict, in a local store below the folder."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from tuneworthy.handover.formats._sources import Made, library, tracked
from tuneworthy.records.errors import TaskError
from tuneworthy.records.results import Results

NEEDS = "verdict"


def write(source: Results, folder: Path) -> Made:
    """Log the verdict as one run of the project with the task's name.

    The package reads its folder from the environment when it is imported, so that one process can
    write to one folder. Raises TaskError for another one.
    """
    store = (folder / "trackio").resolve()
    os.environ["TRACKIO_DIR"] = str(store)
    trackio, told = library("trackio"), tracked(source)
    if Path(trackio.TRACKIO_DIR).resolve() != store:
        raise TaskError("trackio writes to another folder in this process already",
                        where=str(store), got=str(trackio.TRACKIO_DIR),
                        fix="export it in a process of its own")  # fmt: skip
    with redirect_stdout(sys.stderr), TemporaryDirectory() as drafts:
        run = trackio.init(project=told.project, name=told.name, config=told.params, embed=False,
                           auto_log_gpu=False, auto_log_cpu=False)  # fmt: skip
        trackio.log(told.numbers)
        files = trackio.Artifact(f"{told.project}-verdict", type="verdict")
        for name, text in told.texts.items():
            (Path(drafts) / name).write_text(text, "utf-8", errors="backslashreplace")
            files.add_file(str(Path(drafts) / name))
        trackio.log_artifact(files)
        trackio.finish()
    shown = f"TRACKIO_DIR={store} trackio show --project {told.project}"
    return Made({}, {"store": str(store), "experiment": told.project, "run": run.name,
                     "open": shown})  # fmt: skip
