"""What a study is: a digest of all that it reads. What it is started anew with, and when it ended.

A change of anything here makes another study. Opens no model and asks none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tuneworthy.core.code import EVERYTHING, made_by
from tuneworthy.core.errors import TaskError
from tuneworthy.core.plugins import load as plugin
from tuneworthy.core.record import digest
from tuneworthy.core.specs import specs
from tuneworthy.core.task import Task
from tuneworthy.data.fingerprint import docs_digest, file_digest, rows_digest
from tuneworthy.data.load import Loaded
from tuneworthy.ledger.store import Ledger
from tuneworthy.measure.stage_runner import spent_in
from tuneworthy.metrics import fingerprint
from tuneworthy.models import content_of
from tuneworthy.models.encoder.minilm import missing

FOLDER = "all studies of this folder"
"""The name under which the ledger counts the fresh starts of all studies of a folder."""


def identity_of(loaded: Loaded, available: Mapping[str, str]) -> dict[str, Any]:
    """Return what makes a study: its task, what it reads, and which needs of its arms are met."""
    needed = needs(loaded.task)
    met = {need: why for need, why in available.items() if need in needed}
    return {"task": loaded.task.hash, "read": contents(loaded), "here": met}


def contents(loaded: Loaded) -> dict[str, str]:
    """Return a digest of each thing that a study reads: a change of any makes it another study."""
    task, kinds = loaded.task, {"cases": loaded.cases, "test": loaded.test, "dev": loaded.dev}
    named = {name: source.file for name, source in task.answers.items()}
    if task.present:
        named |= {"present": task.present.answers or "", "prompt": task.present.prompt or ""}
    named |= {"grades": task.success.judge.grades} if task.success.judge else {}
    return {
        **{kind: rows_digest(cases) for kind, cases in kinds.items() if cases is not None},
        **(
            {"unlabelled": digest([query.plain() for query in loaded.unlabelled])}
            if "unlabelled" in needs(task)
            else {}
        ),  # settling alone changes no study
        "docs": docs_digest(loaded.docs),
        **({"encoder": missing()} if loaded.docs else {}),  # one fetched since finds other passages
        "metric": digest(fingerprint(task)),
        **{f"file {name}": file_digest(task.folder / file) for name, file in named.items() if file},
    }


def needs(task: Task) -> set[str]:
    """Return what the arms of a task need; what none of them reads changes no study."""
    return {need for spec in specs(task) for need in plugin("arms", spec.arm).NEEDS}


def generation(ledger: Ledger, identity: dict[str, Any], fresh: bool) -> tuple[str, str]:
    """Return (study, salt): the content it stands for, and what its answers are kept under.

    `fresh` begins the study anew. The salt counts the fresh starts of all studies in the folder
    when this one began, so that a later study (the same with another margin, say) shares the new
    answers and never the old ones. It is fixed when the study is first opened.
    """
    number, name = 0, digest(identity)
    while ledger.frozen(name, f"fresh-{number + 1}") is not None:
        number += 1
    starts = 0
    while ledger.frozen(FOLDER, f"fresh-{starts + 1}") is not None:
        starts += 1
    if fresh:
        number, starts = number + 1, starts + 1
        ledger.freeze(FOLDER, f"fresh-{starts}", {"study": name})
        ledger.freeze(name, f"fresh-{number}", {"number": number})
    study = digest({**identity, "fresh": number}) if number else name
    kept = ledger.freeze(study, "salt", {"salt": str(starts) if starts else ""})
    return study, str(kept["salt"])


def more_minutes(ledger: Ledger, study: str) -> list[float]:
    """Return the minutes that a study was given later, one number for each `--more`."""
    found: list[float] = []
    while added := ledger.frozen(study, f"more-{len(found) + 1}"):
        found.append(float(added["minutes"]))
    return found


def go_on(ledger: Ledger, study: str, minutes: float, budget: float) -> None:
    """Give a study more minutes: its stage rule goes on where it had no room.

    They count from what it took so far, which may be more than its `budget`. It stays one study:
    the bounds paid for every arm that the rule may run before the first was scored. Raises
    TaskError where there is no finished study to go on with, or no rule that would use them.
    """
    stored = ledger.frozen(study, "plan")
    before = more_minutes(ledger, study)
    had = budget + sum(before)
    spent = ledger.frozen(study, spent_in(had))
    if stored is None or not stored["staged"] or spent is None:
        fixed = stored is not None and not stored["staged"]
        raise TaskError(
            "there is no finished study that more minutes could continue",
            where="--more",
            got="a plan without the stage rule" if fixed else "none of this task and these rows",
            fix="raise budget.minutes" if fixed else "run it first without --more",
        )
    added = minutes + max(0.0, float(spent["minutes"]) - had)
    ledger.freeze(study, f"more-{len(before) + 1}", {"minutes": round(added, 4)})


def results_key(study: str, models: Iterable[str], folder: Path) -> str:
    """Return the key of a study's results: its hash, the code, models that may be replaced."""
    files = {spec: content_of(spec, folder) for spec in models}
    return digest({"what": "results", "study": study, "made_by": made_by(EVERYTHING),
                   "models": files})  # fmt: skip
