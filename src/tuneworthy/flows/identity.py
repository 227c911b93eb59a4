"""A study's identity: hash of all it reads, the keys by it, its fresh starts and added minutes.

If any part of the identity changes, it is another study. Opens no model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tuneworthy.measure.plan_cuts import spent_key
from tuneworthy.metrics import fingerprint
from tuneworthy.models import content_of
from tuneworthy.models._roles import (
    missing_packages,
    model_absent,
    untrainable,
    unusable,
    wanted_models,
)
from tuneworthy.models.encoder.encoder import Fetched, missing
from tuneworthy.models.remote.endpoint import name_and_url
from tuneworthy.records.code import ALL_SOURCES, code_version
from tuneworthy.records.errors import TaskError
from tuneworthy.records.reason import Reason
from tuneworthy.records.record import digest
from tuneworthy.records.run import RunOptions
from tuneworthy.records.specs import (
    Available,
    needs_of,
    needs_of_arm,
    prompt_files,
    reads_unlabelled,
    specs,
    unmet_needs,
    uses_vectors,
)
from tuneworthy.records.task import Task
from tuneworthy.report.results_folder import folder_of
from tuneworthy.rows.fingerprint import docs_digest, file_digest, rows_digest
from tuneworthy.rows.load import Loaded
from tuneworthy.store.store import Ledger
from tuneworthy.store.study_events import begun_studies

_FOLDER_SCOPE = "all studies of this folder"
"""The name under which the ledger counts the fresh starts of all studies in a folder."""


def study_identity(loaded: Loaded, available: Available) -> dict[str, Any]:
    """Return what makes a study itself, as a dict: hashes of task and inputs, unmet needs."""
    needed = {need for spec in specs(loaded.task) for need in needs_of_arm(spec)}
    met = {need: str(why or "") for need, why in available.items() if need in needed}
    read = input_digests(loaded)
    if loaded.docs:  # other passages are found with the encoder
        read["encoder"] = str(available["vectors"] or "")
    named = wanted_models(loaded.task).values()
    if any(spec.startswith("openai:") and not name_and_url(spec)[1] for spec in named):
        read |= {name: url for name in ("OPENAI_BASE_URL",) if (url := os.environ.get(name))}
    return {"task": loaded.task.hash, "read": read, "here": met}


def input_digests(loaded: Loaded) -> dict[str, str]:
    """Return {input of a study: its digest}; if one changes, it is another study."""
    task, kinds = loaded.task, {"cases": loaded.cases, "test": loaded.test, "dev": loaded.dev}
    files = {name: source.file for name, source in task.answers.items()}
    if task.present:
        files |= {"present": task.present.answers or ""}
    for key, file in prompt_files(task).items():
        if not (task.folder / file).is_file():
            where = f"task.yaml {'present.prompt' if key == 'prompt' else key}"
            raise TaskError("there is no such prompt file", where=where, got=file,
                            fix="correct the path: it starts at this file's folder")  # fmt: skip
        files[key] = file
    files |= {"grades": task.success.judge.grades} if task.success.judge else {}
    named = {str(spec.options.get("model") or "") for spec in specs(task)}  # encoders to tune
    learnt = any(reads_unlabelled(spec.arm) for spec in specs(task))  # not by settling alone
    return {
        **{kind: rows_digest(cases) for kind, cases in kinds.items() if cases is not None},
        **({"unlabelled": digest([q.plain() for q in loaded.unlabelled])} if learnt else {}),
        **{
            f"model {name}": own for name in sorted(named) if (own := content_of(name, task.folder))
        },
        "docs": docs_digest(loaded.docs),
        "metric": digest(fingerprint(task)),
        **{f"file {name}": file_digest(task.folder / file) for name, file in files.items() if file},
    }


def needs_met(
    loaded: Loaded, fetched: Fetched = "never", say: Callable[[str], None] = lambda text: None
) -> dict[str, Reason | None]:
    """Return {need of an arm: why it is not met here, None if it is} for a task and its rows.

    MiniLM counts, and may be fetched first (see `missing`), only if an arm would use it.
    """
    task = loaded.task
    absent = model_absent(task)
    training = untrainable(task) or (absent if task.tune in (None, task.model) else None)
    gold = any(case.context for case in loaded.everyone)
    met = needs_of(task, model=absent, training=training, gold=gold,
                   encoder=missing_packages(), setfit=missing_packages("setfit"),
                   bigger=unusable(task.bigger) if task.bigger else None)  # fmt: skip
    met |= {"teacher": unusable(task.teacher)} if task.teacher else {}
    if any(uses_vectors(spec) and not unmet_needs(spec, met) for spec in specs(task)):
        met["vectors"] = missing(fetched, say)
    return met


def competing_arms(task: Task, available: Available) -> int:
    """Return how many arms of a task may be compared: its candidates whose needs are met here."""
    candidates = [spec for spec in specs(task) if spec.role == "candidate"]
    return sum(not unmet_needs(spec, available) for spec in candidates)


def fetches(ledger: Ledger, identity: dict[str, Any], task: Task, options: RunOptions) -> bool:
    """Return whether `run` fetches what is missing: for arms that run here, in a new study.

    A study that has begun without it goes on so: with another arm it would be another look.
    """
    begun = any(ledger.frozen(digest(identity), mark) for mark in ("plan", "fresh-1"))
    return (options.on or task.executor) == "local" and (options.fresh or not begun)


def others_of_name(ledger: Ledger, name: str, study: str) -> list[str]:
    """Return the other studies of a task's name in this folder: a cap on money counts them too."""
    begun = begun_studies(ledger).items()
    return [
        other for other, at in begun if other != study and at.startswith(folder_of(name, other))
    ]


def study_and_salt(ledger: Ledger, identity: dict[str, Any], fresh: bool) -> tuple[str, str]:
    """Return (study, salt): the study's hash, and the salt in the keys of its answers.

    `fresh` starts the study anew. The salt is the number of fresh starts of all studies in the
    folder when this one began, so that a later study (with another margin, say) shares the new
    answers and never the old ones. It is fixed when the study is first opened.
    """
    number, name = 0, digest(identity)
    while ledger.frozen(name, f"fresh-{number + 1}") is not None:
        number += 1
    starts = 0
    while ledger.frozen(_FOLDER_SCOPE, f"fresh-{starts + 1}") is not None:
        starts += 1
    if fresh:
        number, starts = number + 1, starts + 1
        ledger.freeze(_FOLDER_SCOPE, f"fresh-{starts}", {"study": name})
        ledger.freeze(name, f"fresh-{number}", {"number": number})
    study = digest({**identity, "fresh": number}) if number else name
    kept = ledger.freeze(study, "salt", {"salt": str(starts) if starts else ""})
    return study, str(kept["salt"])


def more_minutes(ledger: Ledger, study: str) -> list[float]:
    """Return the minutes added to a study, one number per `--more`."""
    minutes: list[float] = []
    while added := ledger.frozen(study, f"more-{len(minutes) + 1}"):
        minutes.append(float(added["minutes"]))
    return minutes


def add_minutes(ledger: Ledger, study: str, minutes: float, budget: float) -> None:
    """Store that a study gets more minutes, so that its schedule goes on with arms it cut.

    They are added to the minutes spent so far, which may exceed `budget`. It remains one study:
    its bounds already account for every arm that the rule may run. Raises TaskError if there is no
    finished study to continue, or no schedule to use the minutes.
    """
    stored = ledger.frozen(study, "plan")
    before = more_minutes(ledger, study)
    limit = budget + sum(before)
    spent = ledger.frozen(study, spent_key(limit))
    if stored is None or not stored["staged"] or spent is None:
        got = "none of this task, these rows and these options"
        fix = "run it first without --more, and then with the same other options"
        if stored is not None:
            got = "a study that was stopped before its end"
            fix = "run it to its end without --more: it goes on where it stopped"
            if not stored["staged"]:
                got, fix = "a plan without the schedule (budget.stages)", "raise budget.minutes"
        what = "there is no finished study that more minutes could continue"
        raise TaskError(what, where="--more", got=got, fix=fix)
    added = minutes + max(0.0, float(spent["minutes"]) - limit)
    ledger.freeze(study, f"more-{len(before) + 1}", {"minutes": round(added, 4)})


def results_key(study: str, models: Iterable[str], folder: Path) -> str:
    """Return the key of a study's results: a digest of study hash, code and model files."""
    files = {spec: content_of(spec, folder) for spec in models}
    return digest({"what": "results", "study": study, "made_by": code_version(ALL_SOURCES),
                   "models": files})  # fmt: skip
