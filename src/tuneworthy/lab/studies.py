"""Find and read the studies of the lab's folder and of the task folders in it; writes nothing.

A request names a study by its id, a hash of its results folder's name, never by a path. Knows no
HTTP library.
"""

from __future__ import annotations

import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from tuneworthy.lab.problem import Problem
from tuneworthy.records.errors import StoreError, TaskError
from tuneworthy.records.record import digest, plain_file
from tuneworthy.records.results import Results
from tuneworthy.records.verdict import Verdict
from tuneworthy.report.results_folder import RESULTS_FILE, VERDICT_FILE, read_results
from tuneworthy.store.lock import LOCK_FILE, holder
from tuneworthy.store.place import HOME_FOLDER, STORE_FILE
from tuneworthy.store.store import Ledger, open_ledger
from tuneworthy.store.study_events import begun_studies

TASK_FILE = "task.yaml"
MOST_HOMES, MOST_STUDIES = 200, 500
_MOST_RESULT_BYTES = 400_000_000  # the most bytes of a results.json
_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_NAME_WITH_HASH = re.compile(r"(.+)-[0-9a-f]{8}(?:-(settled|unlocked))?")
_open_lock = threading.Lock()
_cached_places: dict[tuple[Path, str], StudyPlace] = {}
"""Cache of found studies: a page that follows a run requests the same study again and again."""


@dataclass(frozen=True)
class StudyPlace:
    """The place of a study: its task's folder and the name of its results folder."""

    id: str
    home: Path
    name: str
    study: str = ""
    """The study's hash in the ledger of `home`; "" if the ledger does not hold it."""
    inside: str = ""
    """The name of the task folder in the lab's folder; "" if both are the same folder."""

    @property
    def folder(self) -> Path:
        """Return the results folder, which a run creates at its end."""
        return self.home / "results" / self.name

    @property
    def task_file(self) -> Path:
        """Return the path of the study's task.yaml."""
        return self.home / TASK_FILE

    @property
    def finished(self) -> bool:
        """Return whether the study has a results file."""
        return _is_plain_file(self.folder / RESULTS_FILE)

    @property
    def title(self) -> str:
        """Return the task's name: that of the results folder without the hash's digits."""
        if found := _NAME_WITH_HASH.fullmatch(self.name):
            return f"{found[1]}, {found[2]}" if found[2] else found[1]
        return self.name.rsplit("-", 1)[0] if "-" in self.name else self.name


def find_studies(working: Path) -> list[StudyPlace]:
    """Return the studies of a folder and of its task folders; symbolic links are not followed."""
    places: dict[str, StudyPlace] = {}
    for home in _task_folders(working):
        known = _begun_names(home)
        names = dict.fromkeys([*_finished_names(home), *known.values()])
        by_name = {name: study for study, name in known.items()}
        for name in list(names)[:MOST_STUDIES]:
            key = digest(name, 16)
            if key in places:  # a copy in another task folder
                key = digest([home.name, name], 16)
            inside = "" if home == working else home.name
            places[key] = StudyPlace(key, home, name, by_name.get(name, ""), inside)
    return list(places.values())


def find_study(working: Path, key: str) -> StudyPlace:
    """Return the study of an id. Raises Problem (404) if there is none."""
    known = _cached_places.get((working, key))
    if known is not None and known.study:
        return known
    for place in find_studies(working):
        if place.id == key:
            if len(_cached_places) >= MOST_STUDIES:
                _cached_places.clear()
            _cached_places[working, key] = place
            return place
    raise Problem(404, "no study of this folder has this id", where="the address", got=key,
                  fix="choose one on the page of studies: /studies")  # fmt: skip


def results_of(place: StudyPlace) -> Results:
    """Return the results of a finished study.

    Raises Problem: 404 without results, 422 if they are too large; TaskError if unreadable.
    """
    if not place.finished:
        raise Problem(
            404, "this study has no results yet", where=place.title, got="it has not ended",
            fix=f"look at its run: /study/{place.id}/run; `tuneworthy run` continues it",
        )  # fmt: skip
    about = (place.folder / RESULTS_FILE).stat()
    if about.st_size > _MOST_RESULT_BYTES:
        raise Problem(
            422, "these results are too large for a page",
            where=f"results/{place.name}/{RESULTS_FILE}", got=f"{about.st_size:,} bytes",
            fix="open the report.html beside them",
        )  # fmt: skip
    return _cached_results(place.folder, (about.st_mtime_ns, about.st_size, about.st_ino))


@lru_cache(maxsize=3)
def _cached_results(folder: Path, stamp: tuple[int, ...]) -> Results:  # noqa: ARG001
    return read_results(folder)


def verdict_of(place: StudyPlace) -> tuple[Verdict | None, datetime | None]:
    """Return (verdict, local time) of a finished study; (None, None) if it can't be read."""
    path = place.folder / VERDICT_FILE
    try:
        about = path.stat()
        written = datetime.fromtimestamp(about.st_mtime)
        return _cached_verdict(path, (about.st_mtime_ns, about.st_size, about.st_ino)), written
    except (OSError, ValueError, RecursionError):
        return None, None


@lru_cache(maxsize=256)
def _cached_verdict(path: Path, stamp: tuple[int, ...]) -> Verdict:  # noqa: ARG001
    if not _is_plain_file(path):
        raise OSError("no plain file")
    return Verdict.model_validate_json(plain_file(path, _MOST_RESULT_BYTES))


@contextmanager
def read_ledger(home: Path) -> Iterator[Ledger | None]:
    """Yield the ledger of a task folder, opened for reading; None if none can be opened.

    Each query is a transaction of its own, so that no page blocks the writer.
    """
    ledger = None
    if _is_plain_file(home / HOME_FOLDER / STORE_FILE):
        try:
            with _open_lock:  # see `read_journal` on files that are closed beside an open one
                ledger = open_ledger(home, write=False, say=lambda line: None)
        except (StoreError, TaskError):
            ledger = None
    try:
        yield ledger
    finally:
        if ledger is not None:
            ledger.close()


def running_since(home: Path) -> datetime | None:
    """Return the time since which a process holds a task folder's write lock, None if none does."""
    try:
        who = holder(home / HOME_FOLDER / LOCK_FILE)
    except OSError:  # no plain file, or one of another user
        return None
    return time_of(str(who.get("since"))) if who and who.get("alive") else None


def time_of(text: str) -> datetime | None:
    """Return the time in a text (ISO, with a zone), None for a text that is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else None


def _task_folders(working: Path) -> Iterator[Path]:
    yield working
    try:
        inside = sorted(entry.name for entry in os.scandir(working)
                        if entry.is_dir(follow_symlinks=False))  # fmt: skip
    except OSError:
        return
    found = (working / name for name in inside if not name.startswith("."))
    tasks = (folder for folder in found if _is_plain_file(folder / TASK_FILE))
    yield from (folder for folder, _ in zip(tasks, range(MOST_HOMES), strict=False))


def _finished_names(home: Path) -> list[str]:
    """Return the sorted names of the folders that hold a results file."""
    try:
        if not stat.S_ISDIR((home / "results").lstat().st_mode):
            return []
        with os.scandir(home / "results") as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(name for name in names if _is_plain_file(home / "results" / name / RESULTS_FILE))


def _begun_names(home: Path) -> dict[str, str]:
    with read_ledger(home) as ledger:
        if ledger is None:
            return {}
        try:
            begun = begun_studies(ledger)
        except StoreError:
            return {}
    # The ledger may come from somebody else: its names are folders of results/, nothing more.
    return {study: name for study, name in begun.items() if _FOLDER_NAME.fullmatch(name)}


def _is_plain_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False
