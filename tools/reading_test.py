"""Draw docstring lines and names at random: can they be understood without the code?

usage: reading_test.py SEED [--places]   30 first lines of docstrings, then 30 names

Write down what each line or name does, then draw the same seed with --places, open each file and
judge. Private functions, methods, fields and constants are drawn as often as public ones.
"""

from __future__ import annotations

import argparse
import ast
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SRC = Path(__file__).parents[1] / "src" / "tuneworthy"
DRAWN = 30


class Place(NamedTuple):
    """A text to be read, and where it lies."""

    text: str
    file: str
    line: int


def main() -> None:
    """Print the lines and names of a seed, numbered."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("seed", type=int)
    parser.add_argument("--places", action="store_true", help="also print file and line of each")
    asked = parser.parse_args()
    for title, drawn in draw(asked.seed).items():
        print(f"\n{title}")
        for number, one in enumerate(drawn, 1):
            where = f"   {one.file}:{one.line}" if asked.places else ""
            print(f"{number:3} {one.text}{where}")


def draw(seed: int) -> dict[str, list[Place]]:
    """Return the lines and names that a seed draws from the package."""
    lines, names = [], []
    for path in sorted(SRC.rglob("*.py")):
        file = path.relative_to(SRC).as_posix()
        tree = ast.parse(path.read_text("utf-8"))
        lines += [Place(text, file, line) for text, line in docstrings(tree)]
        names += [Place(f"{file}: {name}", file, line) for name, line in defined(tree)]
    choose = random.Random(seed)
    return {"lines": choose.sample(lines, DRAWN), "names": choose.sample(names, DRAWN)}


def docstrings(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the first line of every docstring, with its line number."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text.splitlines()[0], node.body[0].lineno


def defined(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, int]]:
    """Yield every name that a module or class defines: functions, classes, fields, constants."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if not node.name.startswith("__"):
                yield inside + node.name, node.lineno
            if isinstance(node, ast.ClassDef):
                yield from defined(node, f"{inside}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in (part for each in targets for part in ast.walk(each)):
                if isinstance(target, ast.Name) and not target.id.startswith("__"):
                    yield inside + target.id, node.lineno


if __name__ == "__main__":
    main()
