"""The data of a study's pages beside the report's sections: list, plan, settling, builds, YAML.

Knows no HTTP library.
"""

from __future__ import annotations

import io
import os
import shlex
from contextlib import suppress
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tuneworthy.core.artefact import Artefact
from tuneworthy.core.plan import EndpointLoad, Plan, PlannedArm
from tuneworthy.core.record import plain_file
from tuneworthy.core.results import Results
from tuneworthy.core.task import Task
from tuneworthy.core.verdict import Verdict
from tuneworthy.deploy.artefact_folder import MANIFEST_FILE
from tuneworthy.lab.lab_folder import read_file
from tuneworthy.lab.studies import StudyPlace, find_studies, verdict_of
from tuneworthy.lab.study_run import run_snapshot, study_state
from tuneworthy.report import _words as words

MOST_TASK_BYTES, MOST_MANIFEST_BYTES, MOST_BUILDS = 1_000_000, 16_000_000, 50
ENDING_TEXTS = {
    "firm": "no open question is left that votes can decide",
    "pool": "no new input was left",
    "patience": "the allowed votes are spent",
    "stopped": "it was stopped",
    "elsewhere": "what is open is not between two answers",
}


def study_rows(working: Path) -> list[dict[str, Any]]:
    """Return a row per study (name, verdict, status, n, date): running ones, then the newest."""
    rows = [_study_row(place) for place in find_studies(working)]
    order = {"running": 0, "stopped": 1}
    rows.sort(key=lambda row: row["written"] or datetime.min, reverse=True)
    return sorted(rows, key=lambda row: order.get(row["state"], 2))


def _study_row(place: StudyPlace) -> dict[str, Any]:
    state = study_state(place)
    row: dict[str, Any] = {"id": place.id, "name": place.title, "folder": place.name, "n": None,
                           "state": state, "place": place.inside}  # fmt: skip
    verdict, written = verdict_of(place)
    row |= {"written": written, "date": written.strftime("%Y-%m-%d %H:%M") if written else ""}
    if state == "running" or not place.finished:
        said = run_snapshot(place)["sentence"]
        more = "" if state == "running" else ". `tuneworthy run` continues it"
        return row | {"verdict": said + more, "status": state}
    if verdict is None:
        why = "Its verdict.json can't be read. `tuneworthy run` writes it again from the store"
        return row | {"verdict": why, "status": "not readable"}
    n = max((arm.n for arm in verdict.arms), default=0)
    return row | {"verdict": verdict_sentence(verdict), "status": verdict.status, "n": n or None}


def verdict_differs(place: StudyPlace, results: Results) -> bool:
    """Return whether verdict.json holds another verdict than results.json: one is older."""
    verdict, _ = verdict_of(place)
    return verdict is not None and verdict != results.verdict


def verdict_sentence(verdict: Verdict) -> str:
    """Return the verdict in a line: `Don't fine-tune yet. Use: few_shot (prompt)`."""
    head = words.headline(verdict.use, verdict.status)
    return f"{head} Use: {verdict.arm} ({verdict.use})" if verdict.arm else head


def command_of(place: StudyPlace, command: str) -> str:
    """Return a command with the study's path, as it is typed in the lab's folder."""
    inside = shlex.quote(place.inside) if place.inside else ""
    if command == "tuneworthy report":
        return f"{command} {f'{inside}/' if inside else ''}results/{shlex.quote(place.name)} --open"
    if command == "tuneworthy serve":
        return f"{command} {inside}/build" if inside else command
    return f"{command} {inside}".strip()


def task_file_text(place: StudyPlace) -> tuple[str, str]:
    """Return (text of task.yaml as it is now, ""), or ("", why it can't be read)."""
    try:
        return read_file(place.home / "task.yaml", MOST_TASK_BYTES).decode("utf-8", "replace"), ""
    except OSError as error:
        return "", error.strerror or "it can't be read"


def keys_as_yaml(task: Task, *keys: str) -> str:
    """Return some keys of a measured task as YAML, defaults included."""
    plain = task.model_dump(mode="json", by_alias=True, exclude_none=True)
    text = io.StringIO()
    writer: Any = YAML(typ="safe", pure=True)
    writer.default_flow_style, writer.allow_unicode = False, True
    writer.sort_base_mapping_type_on_output = False
    writer.dump({key: plain[key] for key in keys if plain.get(key) not in (None, {}, [], "")}, text)
    return text.getvalue().rstrip()


def plan_rows(plan: Plan) -> list[dict[str, Any]]:
    """Return a row per arm of a plan: requests, minutes, dollars, or why it is left out."""
    rows = [_plan_row(arm) for arm in plan.arms]
    return sorted(rows, key=lambda row: 2 if row["because"] else bool(row["later"]))


def _plan_row(arm: PlannedArm) -> dict[str, Any]:
    sent = arm.sent
    later = ""
    if arm.follow_up:
        later = "runs if the scores so far make it worth its minutes"
    if arm.look_after:
        later += f"; looked at after {arm.look_after} of {len(arm.folds)} folds"
    return {
        "name": arm.spec.name,
        "tool": arm.spec.tool or arm.spec.role,
        "because": str(arm.because or ""),
        "later": later,
        "runs": f"{len(arm.folds)} × {len(arm.seeds)}" if arm.folds else "",
        "requests": sent.requests if sent else arm.requests,
        "minutes": arm.minutes,
        "usd": money_of(sent),
    }


def money_of(sent: EndpointLoad | None) -> str:
    """Return in words what requests to endpoints cost; `sent` is None without endpoints."""
    if sent is None:
        return "none: it runs here"
    if sent.usd is None or sent.most_usd is None:
        return "no price"
    return f"${words.amount(sent.usd)}, at most ${words.amount(sent.most_usd)}"


def plan_lines(plan: Plan) -> list[str]:
    """Return sentences on the whole plan: minutes, diagnosis, extras, cuts."""
    lines = [f"About {plan.minutes:.0f} minutes on this machine for the arms that always run."]
    across = sum(arm.minutes for arm in plan.across if not arm.because)
    if across >= 0.5:
        lines.append(f"At most {across:.0f} minutes more to see what was wrong.")
    beside = [one for one in plan.beside if not one.because]
    if beside:
        total = sum(one.minutes for one in beside)
        lines.append(f"Beside the arms, {total:.0f} minutes: {', '.join(o.what for o in beside)}.")
    if plan.cuts:
        lines.append(f"Left out to fit the minutes, first to last: {'; '.join(plan.cuts)}.")
    return lines


def whole_minutes(plan: Plan) -> int | None:
    """Return the minutes with which nothing would be left out; None if nothing is left out."""
    return ceil(plan.whole) if plan.whole is not None else None


def settling_state(results: Results) -> dict[str, Any]:
    """Return the state of settling: whether votes can help, how many, and what they changed."""
    verdict, settled = results.verdict, results.evidence.settled
    state = "open" if verdict.status == "provisional" else verdict.status
    step = verdict.next
    return {
        "state": "settled" if settled else state,
        "settled": settled,
        "ended": ENDING_TEXTS.get(settled.ended, settled.ended) if settled else "",
        "helps": step.do == "settle",
        "size": words.price_of_next_step(step),
        "pool": results.evidence.pool,
        "margin": words.points(results.task.success.margin),
    }


def build_rows(place: StudyPlace, evidence: str) -> list[dict[str, Any]]:
    """Return a row per folder in `build` beside task.yaml, the builds of this study first."""
    try:
        with os.scandir(place.home / "build") as entries:
            folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    names = sorted(name for name in folders if not name.startswith("."))
    rows = [_build_row(place.home / "build" / name, evidence) for name in names[:MOST_BUILDS]]
    return sorted(rows, key=lambda row: not row["own"])


def _build_row(folder: Path, evidence: str) -> dict[str, Any]:
    row: dict[str, Any] = {"name": folder.name, "arm": "", "own": False, "because": "",
                           "expires": None, "files": 0, "bytes": _folder_size(folder)}  # fmt: skip
    path = folder / MANIFEST_FILE
    try:
        if path.is_symlink():
            raise OSError("a link")
        artefact = Artefact.model_validate_json(plain_file(path, MOST_MANIFEST_BYTES))
    except (OSError, ValueError):
        refused = folder.name.endswith("-refused")
        why = "refused: it answers otherwise than what was evaluated"
        return row | {"because": why if refused else "it has no artefact.json that can be read"}
    return row | {"arm": artefact.arm, "own": artefact.evidence == evidence,
                  "expires": artefact.expires, "files": len(artefact.files)}  # fmt: skip


def _folder_size(folder: Path) -> str:
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # a build that is being written removes its parts
                total += os.lstat(os.path.join(at, name)).st_size
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if total >= size:
            return f"{total / size:.1f} {unit}"
    return f"{total} B"
