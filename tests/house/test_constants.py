"""One name has one value: a number that stands in several modules is either shared or renamed."""

import ast
from collections import defaultdict

from tests.house.test_ratchet import trees

PLUG_INS = {
    "arms",
    "rows/containers",
    "lab/failures",
}  # each file of these gives such names its own value


def numbers(tree):
    """Yield (name, value) of the public constants of a module that are numbers."""
    for node in tree.body:
        if not isinstance(node, ast.Assign):
            continue
        target = node.targets[0]
        both = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
        pairs = zip(target.elts, node.value.elts, strict=True) if both else [(target, node.value)]
        for name, value in pairs:
            if isinstance(name, ast.Name) and name.id.isupper() and not name.id.startswith("_"):
                plain = not any(isinstance(part, ast.Name | ast.Call) for part in ast.walk(value))
                found = eval(ast.unparse(value)) if plain else None
                if isinstance(found, int | float) and not isinstance(found, bool):
                    yield name.id, found


def test_a_constant_of_one_name_has_one_value():
    values = defaultdict(dict)
    for path, tree in trees().items():
        for name, value in numbers(tree):
            values[name][path] = value
    differ = {
        name: of
        for name, of in values.items()
        if len(set(of.values())) > 1
        and not (
            len(folders := {path.rpartition("/")[0] for path in of}) == 1 and folders <= PLUG_INS
        )
    }
    assert not differ, "give different things different names, and import what is one thing"
