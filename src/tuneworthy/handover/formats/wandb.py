"""A Weights & Biases run of the verdict, offline below the folder."""

from __future__ import annotations

from pathlib import Path

from tuneworthy.handover.formats._sources import Made, library, tracked
from tuneworthy.records.results import Results

NEEDS = "verdict"


def write(source: Results, folder: Path) -> Made:
    """Log the verdict as one offline run of the project with the task's name; send nothing."""
    wandb, told = library("wandb"), tracked(source)
    quiet = wandb.Settings(silent=True, console="off")
    run = wandb.init(project=told.project, name=told.name, config=told.params, mode="offline",
                     dir=str(folder), settings=quiet)  # fmt: skip
    run.log(told.numbers)
    for name, text in told.texts.items():  # files of the run's folder go up with it
        file = Path(run.dir, name)
        file.write_text(text, "utf-8", errors="backslashreplace")
        run.save(file, base_path=run.dir, policy="end")
    place = str(Path(run.dir).parent)
    run.finish()
    return Made({}, {"store": place, "experiment": told.project, "run": run.id,
                     "open": f"wandb sync {place}"})  # fmt: skip
