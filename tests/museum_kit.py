"""Read tests/museum.toml, and put one historic bug of another project into a copy of our source."""

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "tuneworthy"
LONGEST = 900  # seconds that the tests of one bug may take


@dataclass(frozen=True)
class Injection:
    """One mistake: in `file`, `old` becomes `new`, and each of `tests` must then fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    quick: bool = False
    test_written: bool = False  # no test of ours caught it before
    gap: bool = False  # the tests let it pass: one is to be written

    def source(self) -> str:
        """Return the text of the file with the mistake in it."""
        return (PACKAGE / self.file).read_text("utf-8").replace(self.old, self.new)


def bugs():
    """Return {id: {title, source, injected | cannot, …}}."""
    return tomllib.loads((ROOT / "tests" / "museum.toml").read_text("utf-8"))


def injections():
    """Return every injection, named by its bug's id, and a letter where there are several."""
    found = []
    for bug, told in bugs().items():
        several = told.get("injected", [])
        for number, one in enumerate(several):
            name = bug + ("abcdefgh"[number] if len(several) > 1 else "")
            found.append(Injection(name, **one | {"tests": tuple(one["tests"])}))
    return found


def overlaid(folder, injection):
    """Return a copy of src/ in `folder` that has the mistake."""
    src = folder / "src"
    shutil.copytree(PACKAGE, src / "tuneworthy")
    (src / "tuneworthy" / injection.file).write_text(injection.source(), "utf-8")
    return src


def run(tests, src, *more):
    """Run these tests in a process of their own on the package in `src`."""
    env = os.environ | {"PYTHONPATH": f"{src}{os.pathsep}{ROOT}"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", *more,
         *tests],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=LONGEST,
    )  # fmt: skip
