"""Nothing public without a caller: what only tests call is dead weight."""

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tuneworthy"
FOUND_BY_NAME = {
    "arms", "metrics", "explain/questions", "suite", "rows/logs", "handover/forms",
    "handover/formats",
    "rows/containers", "rows/importers", "measure/executors", "cli",
}  # fmt: skip
ALLOWED = {
    "schema_text": "writes verdict.schema.json anew, which a test compares",
    "tuneworthy_gate": "a fixture that pytest finds by its name",
    "atomic_folder": "publishes a folder whole or not at all: the proof of torn folders uses it",
}


def words(*patterns):
    """Return how often each word stands in the files that match below the root."""
    texts = (path.read_text("utf-8") for each in patterns for path in ROOT.glob(each))
    return Counter(word for text in texts for word in re.findall(r"\w+", text))


def public(path):
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def uncalled():
    used = words(
        "src/tuneworthy/**/*.py", "src/tuneworthy/**/*.j2", "bench/**/*.py", "experiments/*.py"
    )
    for path in SRC.rglob("*.py"):
        plugin = path.relative_to(SRC).parent.as_posix() in FOUND_BY_NAME and path.stem[0] != "_"
        yield from (name for name in public(path) if used[name] < 2 and not plugin)


def test_every_public_name_has_a_caller():
    assert sorted(uncalled()) == sorted(ALLOWED)
