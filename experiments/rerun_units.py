"""Run random units of finished experiments again, from training on, and compare what they give.

usage: rerun_units.py NAME [--units 3] [--seed 0] [--most SECONDS]   NAME is a file without .py

The chosen units are made anew in a temporary folder that has neither their results nor the models
that were trained for them; all other units are read as they are. Prints for each unit how many
scores and texts are equal, and ends with 1 if a score differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from _claim import HOME, USED


def units_of(script: Any) -> list[Path]:
    """Return the files of the units that a finished experiment reads."""
    USED.clear()
    script.collect()
    return sorted(set(USED))


def parts(data: Any, name: str) -> Iterator[list[Any]]:
    """Yield each list called `name` in nested data: scores, texts."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key == name and isinstance(value, list):
                yield value
            else:
                yield from parts(value, name)


def equal_share(old: Any, new: Any, name: str) -> tuple[int, int]:
    """Return how many values of the lists called `name` are equal, of how many."""
    pairs = [
        (a, b)
        for first, second in zip(parts(old, name), parts(new, name), strict=True)
        for a, b in zip(first, second, strict=True)
    ]
    return sum(a == b for a, b in pairs), len(pairs)


def main() -> int:
    """Choose units, make them again and print the comparison."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("name")
    ask.add_argument("--units", type=int, default=3)
    ask.add_argument("--seed", type=int, default=0)
    ask.add_argument("--most", type=float, default=float("inf"))
    given = ask.parse_args()
    script = import_module(given.name)
    known = {path: json.loads(path.read_text("utf-8")) for path in units_of(script)}
    fits = [path for path, told in known.items() if told["seconds"] <= given.most]
    chosen = Random(given.seed).sample(fits, min(given.units, len(fits)))
    before, different = Path.cwd(), 0
    with tempfile.TemporaryDirectory() as home:
        units = Path(home) / HOME / "units"
        units.mkdir(parents=True)
        for path in (before / HOME / "units").glob("*.json"):
            if path.name not in {one.name for one in chosen}:
                shutil.copy(path, units)
        os.chdir(home)
        try:
            script.collect()
            for path in chosen:
                made = json.loads((units / path.name).read_text("utf-8"))
                scores, texts = (
                    equal_share(known[path]["data"], made["data"], each)
                    for each in ("scores", "texts")
                )
                different += scores[0] < scores[1]
                what = {k: v for k, v in made["key"].items() if k in ("arm", "rows", "n", "seed")}
                print(f"{what}: scores {scores[0]} of {scores[1]}, texts {texts[0]} of {texts[1]}")
        finally:
            os.chdir(before)
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
