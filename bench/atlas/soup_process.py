"""Run `soup advise` of soup-cli in a process of its own, and read its recorded answers.

soup-cli is never imported: it is installed in its own environment. It writes its last verdict to
`~/.soup/advise_last.json`; here its home is a temporary folder, so that no earlier verdict of the
user changes its answer, and none is left behind. `tools/record_soup.py` records its answers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.atlas.advice_input import AdviceInput

from tuneworthy.records.record import Record, canonical, digest

PROGRAM_VARIABLE = "TUNEWORTHY_SOUP"
RECORDED_ANSWERS = Path(__file__).parent / "soup-answers.jsonl"
TIMEOUT_SECONDS = 30
_VERSION_PATTERN = re.compile(r"\d+\.\d+(\.\w+)*")
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR", "TEMP")
_MOST_GOAL_CHARACTERS = 4000  # soup refuses goals over 4,096 characters


class SoupAnswer(Record):
    """One answer of `soup advise`: its choice, its confidence (0 to 1) and soup's version.

    `asked` is the digest of the input, `category` the type of task that soup takes it for.
    """

    asked: str
    soup: str
    choice: str
    confidence: float
    category: str
    title: str = ""


def program_path() -> str | None:
    """Return the path of the program that TUNEWORTHY_SOUP names; None if it names none.

    A program called `soup` that merely lies on the PATH is never run.
    """
    named = os.environ.get(PROGRAM_VARIABLE, "")
    return shutil.which(named) if named else None


def rows_for(shown: AdviceInput) -> list[dict[str, str]]:
    """Return `n` rows for soup: the shown ten, repeated; repeated answers other than labels get #k.

    soup counts distinct answers. Numbered copies keep the variety of the ten rows; labels repeat in
    real rows too, so they stay as they are.
    """
    rows = []
    for at, row in enumerate(islice(cycle(shown.rows), shown.n)):
        time = at // len(shown.rows)
        numbered = time and shown.output_type != "label"
        rows.append({"input": row.input, "output": row.output + (f" #{time}" if numbered else "")})
    return rows


def recorded_answer(shown: AdviceInput) -> SoupAnswer | None:
    """Return soup's shipped answer to exactly this input; None if there is none."""
    return _answers_by_input().get(input_digest(shown))


def input_digest(shown: AdviceInput) -> str:
    """Return the digest of soup's input: the instruction and the rows."""
    return digest({"goal": shown.instruction, "rows": rows_for(shown)}, 32)


def run_soup(shown: AdviceInput) -> SoupAnswer | None:
    """Run `soup advise` on the rows and return its answer.

    None if there are no rows or no program, if it fails, or if it takes over TIMEOUT_SECONDS.
    """
    program = program_path()
    if program is None or not shown.rows:
        return None
    with TemporaryDirectory(prefix="tuneworthy-soup-") as name:
        folder = Path(name)
        lines = [json.dumps(row) + "\n" for row in rows_for(shown)]
        (folder / "rows.jsonl").write_text("".join(lines), "utf-8")
        goal = shown.instruction.replace("\0", " ")[:_MOST_GOAL_CHARACTERS]
        command = [program, "--no-telemetry", "advise", "run", "rows.jsonl", f"--goal={goal}"]
        if _run_program(command, folder) is None:
            return None
        verdict = _last_verdict(folder / ".soup" / "advise_last.json")
    if verdict is None:
        return None
    return SoupAnswer(
        asked=input_digest(shown),
        soup=program_version(program),
        choice=str(verdict["choice"]),
        confidence=min(1.0, max(0.0, float(verdict["confidence"]))),
        category=str(verdict.get("task_category", "")),
    )


@lru_cache(maxsize=4)
def program_version(program: str) -> str:
    """Return the version that a `soup` program prints; "" if it prints none."""
    with TemporaryDirectory(prefix="tuneworthy-soup-") as name:
        version = _VERSION_PATTERN.search(_run_program([program, "--version"], Path(name)) or "")
    return version.group() if version else ""


def as_lines(answers: Iterable[SoupAnswer]) -> str:
    """Return answers as the text of the shipped file: JSON lines sorted by input, each once."""
    by_input = {each.asked: each for each in answers}
    return "".join(canonical(by_input[key]) + "\n" for key in sorted(by_input))


def _run_program(command: list[str], folder: Path) -> str | None:
    """Return what a program printed; None if it failed or took too long.

    It gets only the variables that a program needs to start, so no key for an endpoint.
    """
    own = {"HOME": str(folder), "USERPROFILE": str(folder), "SOUP_NO_AUDIT_LOG": "1"}
    kept = {key: os.environ[key] for key in _KEPT_VARIABLES if key in os.environ}
    try:
        done = subprocess.run(
            command, cwd=folder, env={**kept, **own, "NO_COLOR": "1"}, capture_output=True,
            text=True, errors="replace", timeout=TIMEOUT_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _last_verdict(path: Path) -> dict[str, Any] | None:
    try:
        verdict = json.loads(path.read_text("utf-8"))
        float(verdict["confidence"])
        return verdict if isinstance(verdict, dict) and "choice" in verdict else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@lru_cache(maxsize=1)
def _answers_by_input() -> dict[str, SoupAnswer]:
    if not RECORDED_ANSWERS.is_file():
        return {}
    lines = RECORDED_ANSWERS.read_text("utf-8").splitlines()
    answers = [SoupAnswer.model_validate_json(line) for line in lines if line.strip()]
    return {each.asked: each for each in answers}
