"""The lab as a static site of recorded runs: works from a file, makes no request."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tuneworthy.advising import measured_tasks
from tuneworthy.atlas.atlas_data import read_atlas
from tuneworthy.core.errors import TaskError
from tuneworthy.lab import case_data
from tuneworthy.lab.advice_pages import advice_page, guess_data, guess_page, shown_advice
from tuneworthy.lab.atlas_pages import atlas_page, measured_page
from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.claim_pages import claims_page
from tuneworthy.lab.finding_pages import findings_page
from tuneworthy.lab.pages import (
    HERO_CASE,
    LAB_FOLDER,
    Site,
    blind_page,
    case_page,
    home_page,
    play_data,
    playground_page,
)
from tuneworthy.lab.recordings import Recordings
from tuneworthy.lab.shipped import recorded_strength, shipped_bytes

MARK_FILE = "tuneworthy-lab.txt"  # what tells an exported folder from a folder of the user's


def export_site(folder: Path) -> Path:
    """Write the site into a folder that is new, empty or an earlier export; return its home page.

    Raises TaskError if the folder holds other files: nothing is overwritten.
    """
    _check(folder)
    site, cases = Site(live=False), list(all_cases().values())
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    (folder / MARK_FILE).write_text(
        "Written by `tuneworthy lab --export`. Safe to delete.\n", "utf-8"
    )
    shutil.copytree(LAB_FOLDER / "static", folder / "static", dirs_exist_ok=True)
    for position, case in enumerate(cases, 1):
        page = case_page(case, position, site)
        (folder / f"case-{case.slug}.html").write_text(page, "utf-8")
        _script(data / f"case-{case.slug}.js", "lab.case", _dumped(_with_answers(case)))
        for name in Recordings(case).ids():
            _script(data / f"{name}.js", "lab.record", shipped_bytes(name) or b"")
        if case.slug == HERO_CASE:
            _script(data / "hero.js", "lab.hero", _dumped(Recordings(case).hero()))
    _blind(folder, site, cases)
    _atlas(folder, site)
    (folder / "playground.html").write_text(playground_page(site), "utf-8")
    _script(data / "play.js", "lab.playground", _dumped(play_data()))
    _advice(folder, site)
    (folder / "findings.html").write_text(findings_page(site), "utf-8")
    (folder / "experiments.html").write_text(claims_page(site), "utf-8")
    if strength := recorded_strength():
        _script(data / "strength.js", "lab.strength", _dumped(strength))
    home = folder / "index.html"
    home.write_text(home_page(cases, site), "utf-8")
    return home


def _blind(folder: Path, site: Site, cases: list[LabCase]) -> None:
    """Write the blind page, with the recorded pairs of runs that it draws from."""
    (folder / "blind.html").write_text(blind_page("", site), "utf-8")
    recorded = [(case, Recordings(case)) for case in cases if case.trains]
    pool = [
        {"slug": case.slug, "plant": each.plant[0]["id"], "twin": each.twin[0]["id"]}
        for case, each in recorded
        if each.plant and each.twin
    ]
    data = {**case_data.blind(cases), "pool": pool}
    _script(folder / "data" / "blind.js", "lab.blind", _dumped(data))


def _atlas(folder: Path, site: Site) -> None:
    """Write the map and each measured task of the package; what a user added stays at home."""
    atlas = read_atlas(None)
    (folder / "atlas.html").write_text(atlas_page(atlas, site), "utf-8")
    for old in folder.glob("atlas-*.html"):
        old.unlink()
    for key in atlas.entries:
        (folder / f"atlas-{key}.html").write_text(measured_page(atlas, key, site), "utf-8")


def _advice(folder: Path, site: Site) -> None:
    """Write both pages on advice; what a user measured stays at home."""
    shown = shown_advice(measured_tasks(working=None))
    (folder / "guess.html").write_text(guess_page(shown, site), "utf-8")
    (folder / "advice.html").write_text(advice_page(shown, site), "utf-8")
    if shown.tasks:
        _script(folder / "data" / "guess.js", "lab.guess", _dumped(guess_data(shown)))


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise TaskError("a site is a folder", where=str(folder), fix="name a folder", kept="")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK_FILE).is_file():
        raise TaskError(
            "this folder holds other files",
            where=str(folder),
            fix="name a new or empty folder",
            kept="all files in it",
        )


def _with_answers(case: LabCase) -> dict[str, Any]:
    """Return a case with what each guess and each citation reveals: no server can be asked."""
    causes, measures = case.module.CAUSES, case.module.MEASURES
    sure = range(len(case_data.SURE))
    reveal = {
        "guess": {name: [case_data.guess(case, name, how) for how in sure] for name in causes},
        "cite": {name: case_data.cite(case, name) for name in measures},
    }
    return {**case_data.public(case), "reveal": reveal}


def _dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _script(path: Path, call: str, value: bytes) -> None:
    """Write a script that hands its bytes, a JSON value, to one function."""
    path.write_bytes(call.encode() + b"(" + value + b");\n")
