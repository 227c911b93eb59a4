"""Find the built artefacts (versions) of a folder, and which of them a plain name means.

The file `current` in the folder has a line for each plain name: the served name (`<name>-<id>`)
that it means. A plain name without a line, or with a version built after `current` was written,
means the version built last. `current.history` logs what a plain name has meant, so that a rollback
returns to the version served before, not to the one built before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tuneworthy.handover.artefact_folder import MANIFEST_FILE, folder_name
from tuneworthy.records.artefact import Artefact
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.record import plain_file
from tuneworthy.store.blobs import sync

CURRENT, HISTORY = "current", "current.history"
_MOST_LEVELS = 2  # of folders below the root in which artefacts are looked for
_MOST_BYTES = 256_000_000  # of a manifest; one with nearest examples holds every training row


@dataclass(frozen=True)
class ServedVersion:
    """An artefact on disk; `built` is the time of its manifest, in seconds since 1970."""

    folder: Path
    artefact: Artefact
    built: float

    @property
    def name(self) -> str:
        """Return the name under which the artefact is served."""
        return folder_name(self.artefact)

    @property
    def home(self) -> Path:
        """Return task.yaml's folder, where relative model paths start."""
        return self.folder.resolve().parent.parent


def versions_in(root: Path) -> list[ServedVersion]:
    """Return the artefacts in a folder and up to two levels below, the oldest first.

    Raises TaskError if there is none, DataError for a manifest that can't be read.
    """
    patterns = ["/".join(["*"] * depth + [MANIFEST_FILE]) for depth in range(_MOST_LEVELS + 1)]
    files = sorted(path for pattern in patterns for path in root.glob(pattern))
    files = [path for path in files if not any(  # drafts, and what a build replaces
        part.startswith(".") for part in path.relative_to(root).parts)]  # fmt: skip
    found = [
        ServedVersion(path.parent, _read_manifest(path), path.stat().st_mtime) for path in files
    ]
    if not found:
        raise TaskError(
            "there is no built artefact in this folder",
            where=str(root),
            fix="tuneworthy build, or name a model: tuneworthy serve --model smollm2-135m",
        )
    by_name: dict[str, ServedVersion] = {}
    for version in sorted(found, key=lambda one: (one.built, one.name)):
        by_name.setdefault(version.name, version)
    return list(by_name.values())


def _read_manifest(path: Path) -> Artefact:
    """Return the artefact described by a manifest file. Raises DataError if it can't be read."""
    try:
        return Artefact.model_validate_json(plain_file(path, _MOST_BYTES))
    except (OSError, ValidationError) as error:
        raise DataError(
            "the manifest of a built artefact can't be read",
            where=str(path),
            got=str(error),
            fix="build it again",
        ) from error


def current_versions(root: Path, versions: Sequence[ServedVersion]) -> dict[str, str]:
    """Return {plain name: served name that it means now}, by the file `current`."""
    meant = {version.artefact.name: version for version in versions}  # the last built
    by_name = {version.name: version for version in versions}
    by_name |= {version.folder.name: version for version in versions if version.folder.name}
    lines = _filled_lines(root / CURRENT)
    written = (root / CURRENT).stat().st_mtime if lines else 0.0
    for line in lines:
        named = by_name.get(Path(line).name)
        if named and meant[named.artefact.name].built <= written:
            meant[named.artefact.name] = named
    return {name: version.name for name, version in meant.items()}


def note_current(root: Path, versions: Sequence[ServedVersion]) -> dict[str, str]:
    """Append each served build to the history if it changed; return {plain name: served build}.

    A new history begins with the versions that were built before.
    """
    meant, history = current_versions(root, versions), _read_history(root)
    for name, served in meant.items():
        own = [one for one in history if one[1].rpartition("-")[0] == name]
        if not own:
            before = [v for v in versions if v.artefact.name == name and v.name != served]
            history += [(_iso_time(version.built), version.name) for version in before]
        if not own or own[-1][1] != served:
            history.append((_iso_time(time.time()), served))
    if history != _read_history(root):
        _write_lines(root / HISTORY, [" ".join(entry) for entry in history])
    return meant


def rollback(root: Path, versions: Sequence[ServedVersion], name: str | None) -> tuple[str, str]:
    """Make a plain name mean the version it meant before; return (served name now, before).

    `name` None: the only one there is. Raises TaskError if it meant no other version before.
    """
    meant, known = note_current(root, versions), {version.name for version in versions}
    if name is None and len(meant) > 1:
        raise TaskError(
            "several names are served here: say which to roll back",
            where=str(root),
            got=", ".join(sorted(meant)),
            fix=f"tuneworthy serve {root} --rollback --name {sorted(meant)[0]}",
        )
    chosen = name or next(iter(meant))
    if chosen not in meant:
        raise TaskError("no artefact has this name", where=str(root), got=chosen,
                        fix=f"there are: {', '.join(sorted(meant))}")  # fmt: skip
    now, history = meant[chosen], _read_history(root)
    own = [at for at, (_, served) in enumerate(history) if served.rpartition("-")[0] == chosen]
    earlier = [at for at in own if history[at][1] in known and history[at][1] != now]
    if not earlier:
        raise TaskError(
            f"{chosen} has meant nothing else before",
            where=str(root / HISTORY),
            got=now,
            fix="build another version first",
        )
    to = history[earlier[-1]][1]
    kept = [entry for at, entry in enumerate(history) if at not in own or at <= earlier[-1]]
    _write_lines(root / HISTORY, [" ".join(entry) for entry in kept])
    last = max([time.time(), *(version.built for version in versions)])  # a date may lie ahead
    _write_lines(root / CURRENT, sorted({**meant, chosen: to}.values()), last)
    return now, to


def _read_history(root: Path) -> list[tuple[str, str]]:
    pairs = (line.split() for line in _filled_lines(root / HISTORY))
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]


def _filled_lines(path: Path) -> list[str]:
    try:
        text = plain_file(path, _MOST_BYTES).decode("utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("a file of versions can't be read", where=str(path), got=str(error),
                        fix="delete it: the last build is then served") from error  # fmt: skip
    return [line.strip() for line in text.splitlines() if line.strip()]


def _iso_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _write_lines(path: Path, lines: Sequence[str], date: float | None = None) -> None:
    """Replace a file at once; `date` in seconds since 1970 (None: now)."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_text("\n".join(lines) + "\n", "utf-8")
    if date is not None:
        os.utime(draft, (date, date))
    sync(draft)
    os.replace(draft, path)
    sync(path.parent)
