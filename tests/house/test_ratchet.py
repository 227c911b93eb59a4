"""Numbers of the house that may only fall: who lowers one lowers its limit here too."""

import ast
from functools import cache
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "tuneworthy"
LIMITS = {
    "lines": 94_360,
    "files": 532,
    "public names": 2452,
    "modules outside the matrix that import stats": 0,
    "branches on our own sentences": 0,
}
SLACK = {"lines": 300, "files": 5, "public names": 20}
"""How far below its limit a number may lie before the limit must follow; others follow at once."""
PLUGIN_FOLDERS = {
    "arms", "rows/containers", "lab/failures", "explain/figures", "rows/importers", "rows/logs",
    "metrics", "explain/questions", "suite", "handover/formats",
}  # fmt: skip
"""Here a new file is a new arm, figure or format, not a bigger house: their files do not count."""
SENTENCES = {"because", "reason", "note", "notes", "error", "why", "missing", "said", "fix"}
OF_SERVERS = {"models/remote/request.py"}  # reads the words of a server, which are not ours
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


def is_plugin(name):
    folder, _, file = name.rpartition("/")
    return folder in PLUGIN_FOLDERS and not file.startswith("_")


def public_names():
    return sum(
        isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
        for name, tree in trees().items()
        if not is_plugin(name)
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
    """Return whether an expression is one of our own sentences, by the name that it has.

    So is what `look_line` returns, and a function whose name ends in `_note` or `_sentence`.
    """
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", "")
        return name.endswith(("look_line", "_note", "studies_text", "_sentence"))
    if isinstance(node, ast.Attribute) and node.attr == "what":
        return True
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in SENTENCES


def reads_older(node):
    """Return whether code reads what an older version told by words: there they are data."""
    if isinstance(node, ast.FunctionDef):
        return node.name == "from_older"
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "told_before"


def asked(node):
    """Return whether a node decides or cuts by the words of a sentence of ours."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if getattr(node.func.value, "id", "") == "re":
            return any(map(is_sentence, node.args))
        return node.func.attr in TEXT_METHODS and is_sentence(node.func.value)
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        name = getattr(node.comparators[0], "attr", getattr(node.comparators[0], "id", ""))
        held = name == "said"  # a set or a dict of what was said, here and there
        fixed = isinstance(node.left, ast.Constant) and name != "why"
        return is_sentence(node.comparators[0]) and not held and not fixed
    return False


def branches_on_sentences():
    """Return the places like `why.startswith(...)` and `NO_ROOM in arm.because`, by file."""
    found = []
    for name, root in trees().items():
        nodes = [] if name in OF_SERVERS else [root]
        while nodes:
            node = nodes.pop()
            if reads_older(node):
                continue
            if asked(node):
                found.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
            nodes += ast.iter_child_nodes(node)
    return sorted(found)


def counted():
    names = [name for name in trees() if not is_plugin(name)]
    sources = [(SRC / name).read_text("utf-8") for name in names]
    return {
        "lines": sum(len(text.splitlines()) for text in sources),
        "files": len(sources),
        "public names": public_names(),
        "modules outside the matrix that import stats": importers_of_stats(),
        "branches on our own sentences": len(branches_on_sentences()),
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
