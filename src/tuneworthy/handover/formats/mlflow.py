"""An MLflow run of the verdict, in a SQLite store below the folder."""

from __future__ import annotations

from pathlib import Path

from tuneworthy.handover.formats._sources import Made, library, tracked
from tuneworthy.records.results import Results

NEEDS = "verdict"


def write(source: Results, folder: Path) -> Made:
    """Log the verdict as one run of the experiment with the task's name."""
    mlflow, told = library("mlflow"), tracked(source)
    store = f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    client = mlflow.MlflowClient(tracking_uri=store)
    found = client.get_experiment_by_name(told.project)
    place = (folder / "artifacts").resolve().as_uri()
    experiment = found.experiment_id if found else client.create_experiment(told.project, place)
    run = client.create_run(experiment, run_name=told.name).info.run_id
    for name, value in told.params.items():
        client.log_param(run, name, value)
    for name, number in told.numbers.items():
        client.log_metric(run, name, number)
    for name, text in told.texts.items():
        client.log_text(run, text, name)
    client.set_terminated(run)
    return Made({}, {"store": store, "experiment": told.project, "run": run,
                     "open": f"mlflow ui --backend-store-uri {store}"})  # fmt: skip
