"""The page of reliability: each promise with the tests that hold it, and what was tried."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARK = "<!-- promises -->"
NUMBERED = re.compile(r"^def (test_\w+)", re.MULTILINE)


def promises() -> dict[str, dict[str, object]]:
    """Return {id: {says, tests, open}} as tests/promises.toml has it."""
    return tomllib.loads((ROOT / "tests" / "promises.toml").read_text("utf-8"))


def tests_of_promises() -> dict[str, dict[str, int]]:
    """Return {id: {file: tests whose name has the id}}; 0 for a file that is named as a whole."""
    found: dict[str, dict[str, int]] = {name: {} for name in promises()}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        where = path.relative_to(ROOT).as_posix()
        for test in NUMBERED.findall(path.read_text("utf-8")):
            for number in set(re.findall(r"_p(\d+)(?=_)", test)) & {name[1:] for name in found}:
                files = found[f"P{number}"]
                files[where] = files.get(where, 0) + 1
    for name, told in promises().items():
        for where in told.get("tests", ()):  # type: ignore[attr-defined]
            found[name].setdefault(where, 0)
    return found


def with_promises(page: str) -> str:
    """Return the page with the table of promises between its marks."""
    tests = tests_of_promises()
    lines = ["| | promise | tests |", "|---|---|---|"]
    for name, told in promises().items():
        files = [
            f"[{Path(where).stem.removeprefix('test_')}](../../{where})"
            + (f" ({count})" if count else "")
            for where, count in sorted(tests[name].items())
        ]
        short = f" *Open: {told['open']}.*" if "open" in told else ""
        lines.append(f"| {name} | {told['says']}{short} | {', '.join(files)} |")
    before, _, after = page.split(MARK)
    return f"{before}{MARK}\n{chr(10).join(lines)}\n{MARK}{after}"
