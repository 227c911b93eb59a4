"""Export the lab as a static site of recorded runs, which works without a server."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

from tuneworthy.lab import case_data
from tuneworthy.lab.advice_pages import advice_page, guess_page
from tuneworthy.lab.atlas_pages import atlas_page, measured_page
from tuneworthy.lab.cases import LabCase, all_cases
from tuneworthy.lab.claim_results import claims_page, findings_page
from tuneworthy.lab.own_folders import OwnFolders, example_report
from tuneworthy.lab.pages import (
    HERO_CASE,
    LAB_FOLDER,
    REPORT_FILES,
    REPORT_STATIC,
    Site,
    blind_page,
    case_page,
    check_page,
    home_page,
    play_data,
    playground_page,
)
from tuneworthy.lab.plan_pages import plan_data, plan_page
from tuneworthy.lab.play_run import SHOWN_INPUTS, record_name
from tuneworthy.lab.recordings import Recordings, shipped_bytes, shipped_record
from tuneworthy.lab.study_pages import demo_page
from tuneworthy.lab.tuning_kinds import kinds_page
from tuneworthy.records.errors import TaskError
from tuneworthy.report.atlas_file import read_atlas
from tuneworthy.suite import STUDIES

_MARK_FILE = "tuneworthy-lab.txt"  # marks a folder as an export, which may be overwritten


def export_site(folder: Path) -> Path:
    """Write the site into a folder that is new, empty or an earlier export; return its home page.

    Raises TaskError if the folder holds other files: nothing is overwritten.
    """
    _check_folder(folder)
    site, cases = Site(live=False), list(all_cases().values())
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    (folder / _MARK_FILE).write_text(
        "Written by `tuneworthy lab --export`. Safe to delete.\n", "utf-8"
    )
    shutil.copytree(LAB_FOLDER / "static", folder / "static", dirs_exist_ok=True)
    for name in REPORT_FILES:
        shutil.copy(REPORT_STATIC / name, folder / "static")
    for position, case in enumerate(cases, 1):
        page = case_page(case, position, site)
        (folder / f"case-{case.slug}.html").write_text(page, "utf-8")
        _write_script(
            data / f"case-{case.slug}.js", "lab.case", _json_bytes(_case_with_results(case))
        )
        for name in Recordings(case).ids():
            _write_script(data / f"{name}.js", "lab.record", shipped_bytes(name) or b"")
        if case.slug == HERO_CASE:
            _write_script(data / "hero.js", "lab.hero", _json_bytes(Recordings(case).hero()))
    _write_blind_page(folder, site, cases)
    _write_atlas_pages(folder, site)
    (folder / "playground.html").write_text(playground_page(site), "utf-8")
    play = play_data()
    _write_script(data / "play.js", "lab.playground", _json_bytes(play))
    for name in (record_name(*each) for each in product(play["curves"], range(SHOWN_INPUTS))):
        _write_script(data / f"{name}.js", "lab.grid", shipped_bytes(name) or b"")
    _write_advice_pages(folder, site)
    for name in STUDIES:
        (folder / f"demo-{name}.html").write_text(demo_page(name, site), "utf-8")
    (folder / "plan.html").write_text(plan_page(site), "utf-8")
    _write_script(data / "plan.js", "lab.plan", _json_bytes(plan_data()))
    (folder / "check.html").write_text(check_page(OwnFolders(), site), "utf-8")
    _write_script(data / "checked.js", "lab.checked", _json_bytes(example_report()))
    (folder / "findings.html").write_text(findings_page(site), "utf-8")
    (folder / "kinds.html").write_text(kinds_page(site), "utf-8")
    (folder / "experiments.html").write_text(claims_page(site), "utf-8")
    if strength := shipped_record("strength", "stops"):
        _write_script(data / "strength.js", "lab.strength", _json_bytes(strength))
    home = folder / "index.html"
    home.write_text(home_page(cases, site), "utf-8")
    return home


def _write_blind_page(folder: Path, site: Site, cases: list[LabCase]) -> None:
    """Write the page of blind runs and the recorded pairs of runs that it draws from."""
    (folder / "blind.html").write_text(blind_page("", site), "utf-8")
    recorded = [(case, Recordings(case)) for case in cases if case.trains]
    pool = [
        {"slug": case.slug, "plant": each.plant[0]["id"], "twin": each.twin[0]["id"]}
        for case, each in recorded
        if each.plant and each.twin
    ]
    data = {**case_data.blind_data(cases), "pool": pool}
    _write_script(folder / "data" / "blind.js", "lab.blind", _json_bytes(data))


def _write_atlas_pages(folder: Path, site: Site) -> None:
    """Write the map and the page of each measured task."""
    (folder / "atlas.html").write_text(atlas_page(site), "utf-8")
    for old in folder.glob("atlas-*.html"):
        old.unlink()
    for key in (task.card.key for task in read_atlas().tasks):
        (folder / f"atlas-{key}.html").write_text(measured_page(key, site), "utf-8")


def _write_advice_pages(folder: Path, site: Site) -> None:
    """Write both pages on advice, and the data that visitors guess from."""
    (folder / "guess.html").write_text(guess_page(site), "utf-8")
    (folder / "advice.html").write_text(advice_page(site), "utf-8")
    _write_script(folder / "data" / "guess.js", "lab.guess", _json_bytes(read_atlas().guess))


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise TaskError("a site is a folder", where=str(folder), fix="name a folder", kept="")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MARK_FILE).is_file():
        raise TaskError(
            "this folder holds other files",
            where=str(folder),
            fix="name a new or empty folder",
            kept="all files in it",
        )


def _case_with_results(case: LabCase) -> dict[str, Any]:
    """Return a case's data with the result of each guess and citation, as there is no server."""
    causes, measures = case.module.CAUSES, case.module.MEASURES
    sure = range(len(case_data.CONFIDENCES))
    reveal = {
        "guess": {
            name: [case_data.guess_result(case, name, how) for how in sure] for name in causes
        },
        "cite": {name: case_data.citation_result(case, name) for name in measures},
    }
    return {**case_data.public_data(case), "reveal": reveal}


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _write_script(path: Path, call: str, value: bytes) -> None:
    """Write a script that calls the function `call` with a JSON value, given as bytes."""
    path.write_bytes(call.encode() + b"(" + value + b");\n")
