"""Numbers of the house that may only fall: who lowers one lowers its limit here too."""

import ast
from functools import cache
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "tuneworthy"
LIMITS = {
    "lines": 105_450,
    "files": 876,
    "public names": 2990,
    "modules outside the matrix that import stats": 0,
    "branches on our own sentences": 37,
}
SLACK = {"lines": 500, "files": 3, "public names": 20}
"""How far below its limit a number may lie before the limit must follow; others follow at once."""
SENTENCES = {"because", "reason", "note", "notes", "error", "why", "missing", "said", "fix"}
TEXT_METHODS = {
    "startswith", "endswith", "removeprefix", "removesuffix", "replace", "partition", "split",
}  # fmt: skip


@cache
def trees():
    """Return the syntax tree of each file, by its path below src."""
    return {
        str(path.relative_to(SRC)): ast.parse(path.read_text("utf-8"))
        for path in sorted(SRC.rglob("*.py"))
    }


def public_names():
    return sum(
        isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
        for tree in trees().values()
        for node in tree.body
    )


def importers_of_stats():
    return sum(
        any(
            isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tuneworthy.stats")
            for node in ast.walk(tree)
        )
        for name, tree in trees().items()
        if not name.startswith(("stats/", "matrix/"))
    )


def is_sentence(node):
    """Return whether an expression is one of our own sentences, by the name that it has."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in SENTENCES


def branches_on_sentences():
    """Count calls like `why.startswith(...)` and tests like `NO_ROOM in arm.because`."""
    found = 0
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                found += node.func.attr in TEXT_METHODS and is_sentence(node.func.value)
            elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
                names = is_sentence(node.comparators[0])
                found += names and not isinstance(node.left, ast.Constant)
    return found


def counted():
    sources = [path.read_text("utf-8") for path in SRC.rglob("*.py")]
    return {
        "lines": sum(len(text.splitlines()) for text in sources),
        "files": len(sources),
        "public names": public_names(),
        "modules outside the matrix that import stats": importers_of_stats(),
        "branches on our own sentences": branches_on_sentences(),
    }


def test_no_number_of_the_house_rises():
    found = counted()
    assert found.keys() == LIMITS.keys()
    risen = {name: (found[name], most) for name, most in LIMITS.items() if found[name] > most}
    assert not risen, "more than before: take something away, or say in a decision record why"
    low = {
        name: (found[name], most)
        for name, most in LIMITS.items()
        if found[name] < most - SLACK.get(name, 0)
    }
    assert not low, "fewer than before: lower the limit in this file, so that it holds"
