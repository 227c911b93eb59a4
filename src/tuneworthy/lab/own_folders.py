"""The training folders named when the lab was launched (launch list). A request names an id.

A child process checks a folder, as its files were written by other programs and may need much
memory. Knows no HTTP library.
"""

from __future__ import annotations

import json
import shlex
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tuneworthy.lab import words
from tuneworthy.lab.cases import case_of
from tuneworthy.lab.child_call import call_in_child
from tuneworthy.lab.problem import Problem
from tuneworthy.lab.recordings import Recordings
from tuneworthy.records.errors import TaskError, TuneworthyError
from tuneworthy.records.record import digest
from tuneworthy.records.run_report import NEEDS_ANSWERS, ONLY_IN_LAB_RUNS

EXAMPLE_CASE = "off-a-cliff"  # its fault shows in a log alone
_MOST_FOLDERS = 50  # the most folders of a launch list
_CHECK_SECONDS = 120.0  # the most seconds that a check may take
_NAMED_AT_LAUNCH = "the folder named at launch"


@dataclass(frozen=True)
class _OwnFolder:
    """A folder of the launch list: its id, the path as named, and the resolved path."""

    id: str
    named: Path
    path: Path

    @property
    def name(self) -> str:
        """Return the last part of its path."""
        return self.path.name or str(self.path)


@dataclass
class OwnFolders:
    """The launch list, with the files of rows and weights that apply to all its folders."""

    folders: tuple[_OwnFolder, ...] = ()
    data: Path | None = None
    test: Path | None = None
    base: Path | None = None
    _busy: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def files(self) -> tuple[tuple[str, Path], ...]:
        """Return the named files as (option, path): `--data`, `--test`, `--base`."""
        given = (("--data", self.data), ("--test", self.test), ("--base", self.base))
        return tuple((option, path) for option, path in given if path is not None)

    def command(self, folder: _OwnFolder) -> str:
        """Return the command that checks a folder without the lab."""
        parts = ["tuneworthy", "check", "--run", str(folder.named)]
        return shlex.join([*parts, *(str(one) for pair in self.files for one in pair)])

    def check(self, key: str) -> dict[str, Any]:
        """Return the detectors' report on a folder of the list; see `report_for_page`.

        Raises Problem: 404 for an id that is not on the list or a folder that is gone, 403 for one
        that is a link now, 422 for one that holds no training run, 429 while another check
        goes on, 504 or 500 if the check takes too long or dies.
        """
        folder = next((one for one in self.folders if one.id == key), None)
        if folder is None:
            raise Problem(404, "no folder of this id was named at launch", where="folder", got=key,
                          fix="tuneworthy lab --check FOLDER")  # fmt: skip
        _check_still_there(folder)
        if not self._busy.acquire(blocking=False):
            raise Problem(429, "another folder is being checked", where=_NAMED_AT_LAUNCH,
                          got=folder.name,
                          fix="wait until it has ended, then try again")  # fmt: skip
        try:
            report = call_in_child(
                _CHECK_SECONDS, check_folder, folder.path, self.data, self.test, self.base
            )
        except TuneworthyError as error:
            raise Problem(422, error.what, where=_place_in_folder(error, folder), got=error.got,
                          fix=error.fix, kept=error.kept) from None  # fmt: skip
        finally:
            self._busy.release()
        return report_for_page(report) | {"name": folder.name, "command": self.command(folder)}


def own_folders(
    named: Sequence[Path],
    data: Path | None = None,
    test: Path | None = None,
    base: Path | None = None,
) -> OwnFolders:
    """Return the launch list of named folders. Raises TaskError for a path that is no folder."""
    if len(named) > _MOST_FOLDERS:
        raise TaskError("too many folders to check", where="--check", got=f"{len(named)}",
                        fix=f"name at most {_MOST_FOLDERS}", kept="")  # fmt: skip
    for path in named:
        if not path.is_dir():
            what = "this is a file, no training folder" if path.exists() else "no such folder"
            raise TaskError(what, where="--check", got=str(path),
                            fix="name the output_dir of your trainer", kept="")  # fmt: skip
    for option, file in (("--data", data), ("--test", test), ("--base", base)):
        if file is not None and not named:
            raise TaskError("this option belongs to --check", where=option,
                            fix="add --check FOLDER, or leave it out", kept="")  # fmt: skip
        if file is not None and not file.exists():
            raise TaskError("no such file", where=option, got=str(file),
                            fix="name what the runs learnt from", kept="")  # fmt: skip
    found: dict[Path, Path] = {}
    for path in named:
        found.setdefault(path.resolve(), path)
    folders = [_OwnFolder(digest(str(path), 16), given, path) for path, given in found.items()]
    whole = [file.resolve() if file is not None else None for file in (data, test, base)]
    return OwnFolders(tuple(folders), whole[0], whole[1], whole[2])


def check_folder(
    folder: Path, data: Path | None, test: Path | None, base: Path | None
) -> dict[str, Any]:
    """Return the report of `tuneworthy check --run` as a dict, each with `reasons` and `says`."""
    from tuneworthy.lab.own_run import OwnFiles, check_run

    report = check_run(folder, OwnFiles(data, test, base))
    findings = [
        {**one.plain(), "reasons": one.reasons, "says": one.says} for one in report.findings
    ]
    return {**report.plain(), "findings": findings}


@lru_cache(maxsize=1)
def example_report() -> dict[str, Any]:
    """Return the report, as its page shows it, on the log of a recorded run of the lab."""
    steps: list[dict[str, Any]] = []
    for event in Recordings(case_of(EXAMPLE_CASE)).plant or ():
        if event["kind"] == "steps":
            columns = zip(event["loss"], event["norm"], event["rate"], event["clipped"],
                          strict=True)  # fmt: skip
            steps += [
                {"step": event["from"] + at, "loss": loss, "grad_norm": norm,
                 "learning_rate": rate, "clipped": clipped}
                for at, (loss, norm, rate, clipped) in enumerate(columns)
            ]  # fmt: skip
        elif event["kind"] == "look":
            steps.append({"step": event["at"], "eval_loss": event["held"]})
    with TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "trace.json").write_text(json.dumps({"steps": steps}), "utf-8")
        report = report_for_page(check_folder(folder, None, None, None))
    return report | {"name": "Example", "command": "tuneworthy check --run outputs/"}


def report_for_page(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report as its page shows it: findings by state, unmeasured cases by reason.

    `found`, `explained` and `clean` are lists of findings with the name of their cause and the
    cause in words. `unmeasured` are {why, cases} that the user can remove, `beyond` those that no
    folder shows; each case stands in one of them, once.
    """
    findings = [
        {**one, "name": words.as_title(one["cause"]), "words": words.cause_text(one["cause"])}
        for one in report["findings"]
    ]
    by_state = {state: [one for one in findings if one["state"] == state]
                for state in ("found", "explained", "clean", "not measured")}  # fmt: skip
    reasons: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for one in by_state["not measured"]:
        reasons["; ".join(one["reasons"])].append({"case": one["case"], "name": one["name"]})
    late = (NEEDS_ANSWERS, ONLY_IN_LAB_RUNS)
    order = sorted(reasons, key=lambda why: -len(reasons[why]))
    unmeasured = [{"why": why, "cases": reasons[why]} for why in order]
    told = ("trainer", "logs", "adapter", "data", "test", "settings", "assumed", "not_read")
    return {
        **{name: report[name] for name in told},
        "found": by_state["found"],
        "explained": by_state["explained"],
        "clean": by_state["clean"],
        "unmeasured": [one for one in unmeasured if one["why"] not in late],
        "beyond": [one for one in unmeasured if one["why"] in late],
    }


def _check_still_there(folder: _OwnFolder) -> None:
    if folder.path.is_symlink() or (folder.path.exists() and folder.path.resolve() != folder.path):
        raise Problem(403, "a link stands where the folder was", where=_NAMED_AT_LAUNCH,
                      got=folder.name,
                      fix="launch the lab again with the folder itself")  # fmt: skip
    if not folder.path.is_dir():
        raise Problem(
            404, "this folder is gone since the lab was launched", where=_NAMED_AT_LAUNCH,
            got=folder.name, fix="put it back, or launch the lab with another one",
        )  # fmt: skip


def _place_in_folder(error: TuneworthyError, folder: _OwnFolder) -> str:
    return folder.name if error.where in ("", "--run") else f"{folder.name}: {error.where}"
