"""Write, find and read finished studies: results/<name>-<hash8>/ and results/latest."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError

from tuneworthy.records.counting import count_noun
from tuneworthy.records.errors import StoreError, TaskError
from tuneworthy.records.own_files import write_atomic
from tuneworthy.records.reason import Why, is_reason
from tuneworthy.records.record import Record, digest, plain_file
from tuneworthy.records.results import Results, as_read_back, canonical_pieces, json_pieces
from tuneworthy.records.verdict import Verdict
from tuneworthy.rows.fingerprint import FILES_FILE
from tuneworthy.store.place import why_unread
from tuneworthy.store.signals import StopRequested
from tuneworthy.store.store import Ledger, open_ledger
from tuneworthy.store.trouble import output_errors

if TYPE_CHECKING:
    from tuneworthy.verdict.recompute import AskQuestions, Recomputed


RESULTS_FILE, VERDICT_FILE = "results.json", "verdict.json"
LISTED_STUDIES = 12  # the most studies that an error lists
_LEAST_HASH_DIGITS = 4  # digits of a hash that name a study; fewer could be a word


@dataclass(frozen=True)
class Study:
    """The results of a study and the folder they were written to.

    `uncompared` says why the results could not be compared with a ledger; "" if they were.
    `stopped` is the stop on request that ended it early: a second run goes on; None if it ended.
    """

    results: Results
    folder: Path
    uncompared: str = ""
    stopped: StopRequested | None = None

    @property
    def verdict(self) -> Verdict:
        """Return the verdict."""
        return self.results.verdict

    @property
    def home(self) -> Path:
        """Return the folder of the study's task, two above that of its results."""
        return self.folder.resolve().parent.parent

    def serving(self) -> str:
        """Return the vLLM command that serves the trained adapter; "" if no arm trained one.

        It is the named arm's adapter if that arm trained one; of several, the best on dev.
        """
        from tuneworthy.matrix.ladder import best_on_dev
        from tuneworthy.models.local.serving import serve_command

        built = [r for r in self.results.runs if r.artefact and r.spec.role == "candidate"]
        if not built:
            return ""
        arm_name = self.verdict.arm
        best = best_on_dev([r for r in built if r.spec.name == arm_name] or built)
        task, adapter = self.results.task, self.home / str(best.artefact)
        return serve_command(task.tune or task.model or "", self.home, adapter, best.spec.name)

    def table(self) -> Any:
        """Return the final table of arms as a rich renderable, which notebooks display too."""
        from tuneworthy.report.terminal import table

        return table(self.results)

    def _repr_html_(self) -> str:
        return self.verdict._repr_html_()


def write_results(results: Results, home: Path, study: str, suffix: str = "") -> Path:
    """Write a study's files under `home`/results and return their folder.

    `suffix` is appended to the folder's name, for later results of the same study. `results/latest`
    is a text file with the folder's name. Each file is replaced atomically.
    """
    from tuneworthy.report._data import CSV_FILE, MOST_SHOWN_CASES
    from tuneworthy.report.exports import answers_csv, verdict_json
    from tuneworthy.report.html import page

    folder = home / "results" / folder_of(results.task.name, study, suffix)
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _write_results(folder / RESULTS_FILE, results)
        write_atomic(folder / VERDICT_FILE, verdict_json(results.verdict) + "\n")
        write_atomic(folder / "plan.json", _as_json(results.plan, 2) + "\n")
        if len(results.cases) > MOST_SHOWN_CASES:  # the page lists the hardest alone
            write_atomic(folder / CSV_FILE, answers_csv(results))
        write_atomic(folder / "report.html", page(results))
        write_atomic(home / "results" / "latest", folder.name + "\n")
    return folder


def folder_of(name: str, study: str, suffix: str = "") -> str:
    """Return the name of a study's results folder, from its task's name and its hash."""
    return f"{name}-{study[:8]}{suffix}"


def make_results_folder(home: Path) -> None:
    """Make the folder `home`/results. Raises StoreError if that fails."""
    with output_errors(home / "results"):
        (home / "results").mkdir(parents=True, exist_ok=True)


def _as_json(record: Record, indent: int | None = None) -> str:
    """Return a record as JSON; a lone surrogate, which UTF-8 cannot encode, is escaped."""
    try:
        return record.model_dump_json(by_alias=True, indent=indent)
    except PydanticSerializationError:
        return json.dumps(record.plain(), indent=indent)


def _write_results(path: Path, results: Results) -> None:
    try:
        write_atomic(path, json_pieces(results))
    except PydanticSerializationError:  # as in `_as_json`
        write_atomic(path, json.dumps(results.plain()))


def open_study(path: Path, ledger: Ledger | None = None) -> Study:
    """Return the finished study that a path names, compared with the ledger beside it.

    `ledger` is that of the study's task where it is open already. Raises TaskError if there is no
    such study or its files can't be read, StoreError if the ledger holds other results.
    """
    folder = find_results(path)
    results = read_results(folder)
    return Study(results, folder, _compare_with_ledger(folder, results, ledger=ledger))


def find_results(path: Path) -> Path:
    """Find and return the results folder that a path names: itself, a study's name or hash, a file.

    A task's folder means its latest study, a task file the latest study of it, a task's name its
    only study here. Raises TaskError, with the studies that are there, if none or several fit.
    """
    try:
        folder = _find_folder(path) or _find_by_name(path)
    except (OSError, ValueError) as error:
        raise TaskError("the results can't be found", where=str(path), got=str(error),
                        fix="correct the path, or name the results folder") from None  # fmt: skip
    if folder:
        return folder
    there = _study_names(path) or _study_names(path.parent)
    raise TaskError(
        "there is no finished study of this name" if there else "there is no finished study here",
        where=str(path),
        fix=f"there are: {', '.join(there[:LISTED_STUDIES])}{', …' * (len(there) > LISTED_STUDIES)}"
        if there
        else "`tuneworthy run` makes one; a results folder, its name or a verdict.json names it",
    )


def _study_names(home: Path) -> list[str]:
    """Return the names of the finished studies of a folder, the latest first."""
    found = [file.parent for file in (home / "results").glob(f"*/{RESULTS_FILE}")]
    found.sort(key=lambda folder: (folder / RESULTS_FILE).stat().st_mtime, reverse=True)
    return [folder.name for folder in found]


def _find_by_name(path: Path) -> Path | None:
    """Return the results folder of a task's name or of four digits of a hash; None if none fits."""
    text = str(path)
    fits = [n for n in _study_names(Path()) if text in (_task_name(n), n) or _has_hash(n, text)]
    if len(fits) > 1:
        raise TaskError(
            "several studies fit", where=text, got=", ".join(fits[:LISTED_STUDIES]),
            fix="name one of them by its folder or its hash",
        )  # fmt: skip
    return Path("results") / fits[0] if fits else None


def _task_name(name: str) -> str:
    return name.removesuffix("-unlocked").rpartition("-")[0]


def _has_hash(name: str, text: str) -> bool:
    """Return whether a text is the hash of a study's folder name, or starts it or continues it."""
    own = name.removesuffix("-unlocked").rpartition("-")[2]
    return len(text) >= _LEAST_HASH_DIGITS and (own.startswith(text) or text.startswith(own))


def _find_folder(path: Path) -> Path | None:
    if path.is_file() and path.name == "latest":
        return path.parent / plain_file(path, 1000).decode("utf-8").strip()
    if path.is_file():
        of_file = {name: _task_file(path.parent / "results" / name) for name in
                   _study_names(path.parent)}  # fmt: skip
        if own := [name for name, file in of_file.items() if file == path.name]:
            return path.parent / "results" / own[0]
        if path.suffix.lower() in {".yaml", ".yml"} and of_file and all(of_file.values()):
            return None  # each study here is of another task file
        path = path.parent
    if (path / RESULTS_FILE).exists():
        return path
    for home in (path, Path()):
        latest = home / "results" / "latest"
        if home == path and latest.exists():
            return home / "results" / plain_file(latest, 1000).decode("utf-8").strip()
        if (home / "results" / path.name / RESULTS_FILE).exists():
            return home / "results" / path.name
    return None


def _task_file(folder: Path) -> str:
    """Return the name of the task file of a results folder; "" where an older version wrote it."""
    with suppress(OSError, ValueError):
        return str(next(iter(json.loads(plain_file(folder / FILES_FILE)))))
    return ""


def latest_results(home: Path, name: str, study: str) -> Path:
    """Return the folder with the latest results of a study: its own, or those after settling.

    Raises TaskError if it has none.
    """
    own = [each for each in _study_names(home) if each.startswith(folder_of(name, study))]
    return find_results(home / "results" / (own[0] if own else folder_of(name, study)))


def read_results(folder: Path) -> Results:
    """Return a study's results from its folder; raise TaskError for an unreadable file."""
    try:
        results = Results.model_validate(json.loads(plain_file(folder / RESULTS_FILE)))
        deque(canonical_pieces(results), maxlen=0)  # refuses infinity and NaN
        return results
    except OSError as error:
        raise TaskError(
            "the results can't be read",
            where=str(folder / RESULTS_FILE),
            got=error.strerror or "",
            fix="`tuneworthy run` writes them again from the store; nothing is measured twice",
        ) from None
    except (ValueError, RecursionError) as error:
        raise TaskError(
            "these results were written by another version, or were changed",
            where=str(folder / RESULTS_FILE),
            got=str(error).splitlines()[0],
            fix="`tuneworthy run` writes them again from the store; nothing is measured twice",
        ) from None


def settled_key(results: Results) -> str:
    """Return the ledger key that marks these settled results as written."""
    return digest({"what": "settled results", "results": results.plain()})


def _compare_with_ledger(
    folder: Path, results: Results, *, whole: bool = False, ledger: Ledger | None = None
) -> str:
    """Compare results with their study's ledger; return why that was not possible, "" if it was.

    `ledger` is opened for reading unless it is given. `whole`: read every row of the ledger and
    verify its hash chain. Raises StoreError if the ledger has other results, has none of this
    study, or was truncated.
    """
    home = folder.resolve().parent.parent
    inside = folder.resolve().parent.name == "results"
    if why := why_unread(home) if inside else "no ledger lies beside these results":
        return f"{why}, so they were not compared with it"
    key = str(results.reproduce.get("stored", ""))
    if not key and results.course is None:
        return "these results name no entry of the ledger, so they were not compared with it"
    path = folder / RESULTS_FILE
    study = str(results.reproduce.get("study", ""))
    with nullcontext(ledger) if ledger else open_ledger(home, write=False) as opened:
        if whole:
            opened.verify()
        if results.course is not None:  # settled results are only marked in the ledger
            marked = opened.get(settled_key(results)) is not None
            stored = results.plain() if marked else None
        else:
            stored = opened.get(key)
        shown = opened.journal.shown
    if stored is None:
        raise StoreError(
            "the ledger does not hold these results: it was cut, or is another study's",
            where=str(path),
            got=f"study {study[:8]}, not in {shown}",
            fix="`tuneworthy run` writes the results of what the ledger holds; to show these "
            "without a ledger, copy their folder elsewhere",
            kept="both, untouched",
        )
    differing = [] if results.plain() == stored else _differing_places(stored, results.plain())
    if differing:
        raise StoreError(
            f"the results are not those that the ledger holds:"
            f" {count_noun(len(differing), 'place')}",
            where=str(path),
            got=differing[0],
            fix="`tuneworthy run` writes them again from the ledger; nothing is measured twice",
            kept="both, untouched",
        )
    return ""


def _differing_places(stored: Any, read: Any) -> list[str]:
    from tuneworthy.verdict.recompute import json_differences

    return [line.replace("recomputed", "found") for line in json_differences("", stored, read)]


def recompute(folder: Path, ask: AskQuestions | None = None) -> Recomputed:
    """Return the stored study of a folder, recomputed without model or rows.

    If its ledger is next to it, the folder must match the ledger (else StoreError). `ask` returns
    the findings on evidence (None: those of all questions, as in the study). Scores of a judge, and
    of the user's own metric (not run, since the folder may come from somebody else), are taken as
    stored. verdict.json must match the recomputed verdict byte for byte, or the stored one where
    only sentences of the two differ.
    """
    from tuneworthy.explain.questions import ask_all
    from tuneworthy.metrics import JUDGE, metric_name, scorer
    from tuneworthy.metrics._user import is_own
    from tuneworthy.report.exports import verdict_json
    from tuneworthy.verdict.recompute import recompute as judged

    results = read_results(folder)
    _compare_with_ledger(folder, results, whole=True)
    name = metric_name(results.task)
    metric = None if is_own(name) or name == JUDGE else scorer(results.task)
    recomputed = judged(results, ask or ask_all, metric)
    reworded = recomputed.wording and not recomputed.differs
    alike = [recomputed.verdict, *([results.verdict] if reworded else [])]
    texts = [(verdict_json(one) + "\n").encode("utf-8", "backslashreplace") for one in alike]
    path = folder / VERDICT_FILE
    if path.is_file() and path.read_bytes() in texts:
        return recomputed
    difference = "differs from what was recomputed" if path.is_file() else "is not there"
    return replace(recomputed, differs=(*recomputed.differs, f"{VERDICT_FILE} {difference}"))


_REPETITION = "failed rows asked again"


@dataclass(frozen=True)
class StoredResults:
    """Reads and stores the results of one study in the ledger.

    `name` is the study and the minutes added to it; `key_of` returns the key of a name's results.
    """

    ledger: Ledger
    name: str
    key_of: Callable[[str], str]

    def latest(self) -> Results | None:
        """Return the results of the last repetition that ended; None if the study never ended."""
        for number in range(self._repetitions(), -1, -1):
            if stored := self.ledger.get(self._key(number)):
                return Results.model_validate(stored)
        return None

    def store(self, results: Results, study: str) -> Results:
        """Store the results and return them as stored, so that a rerun gives the same bytes.

        If a model was unavailable nothing is stored, so that the next run tries that model again.
        """
        if any(is_reason(run.because, Why.MODEL_UNAVAILABLE) for run in results.runs):
            return as_read_back(results)
        key = self._key(self._repetitions())
        keyed = results.model_copy(update={"reproduce": {**results.reproduce, "stored": key}})
        self.ledger.put_text(key, "results", canonical_pieces(keyed), study)
        return as_read_back(keyed)

    def begin_repetition(self, latest: Results) -> int:
        """Begin a repetition if answers failed temporarily; return how many did.

        A repetition that was interrupted is continued under its own number.
        """
        failures = sum(run.temporary_failures for run in latest.runs)
        number = self._repetitions()
        if failures and self.ledger.get(self._key(number)):
            self.ledger.freeze(self.name, f"{_REPETITION} {number + 1}", {"failures": failures})
        return failures

    def _repetitions(self) -> int:
        number = 0
        while self.ledger.frozen(self.name, f"{_REPETITION} {number + 1}") is not None:
            number += 1
        return number

    def _key(self, number: int) -> str:
        return self.key_of(f"{self.name}, {_REPETITION} {number}" if number else self.name)
