"""Every next step names its command, or the key to change first, or says that a person decides."""

import ast
import re
from pathlib import Path

import pytest

from tuneworthy.records.task import Task
from tuneworthy.records.verdict import Next
from tuneworthy.verdict import next_step, unmeasured
from tuneworthy.verdict.step_commands import STEPS, with_command

COMMANDS = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"


def steps_of(module):
    """Returns every text that this module gives as the `do` of a step."""
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "do":
            yield from (one.value for one in (node.value.body, node.value.orelse))
        if isinstance(node, ast.keyword) and node.arg == "do" and not is_variable(node.value):
            yield getattr(node.value, "value", None) or getattr(module, node.value.id)


def is_variable(node):
    return isinstance(node, ast.Name) and node.id == "do"


def test_every_step_that_is_given_has_its_command():
    given = {step for module in (next_step, unmeasured) for step in steps_of(module)}
    assert given == STEPS.keys()


@pytest.mark.parametrize("do", STEPS)
def test_its_command_and_its_key_exist(do):
    command, edit = STEPS[do]
    page = COMMANDS.read_text("utf-8")
    if command:
        _, name, *options = command.split()
        assert re.search(rf"^## .*\b{name}\b", page, re.M)
        assert all(f"`{one}" in page for one in options if one.startswith("--"))
    model = Task
    for key in edit.split(".") if edit else ():
        model = model.model_fields[key].annotation
        model = next((one for one in getattr(model, "__args__", ()) if one is not None), model)


@pytest.mark.parametrize(
    ("step", "command", "edit"),
    [
        ({"do": "use it"}, "tuneworthy build", None),
        ({"do": "keep"}, None, None),
        ({"do": "measure bigger"}, "tuneworthy run", "bigger"),
        ({"do": "raise budget.minutes", "minutes": 7}, "tuneworthy run --more 7m", None),
        ({"do": "raise budget.minutes"}, "tuneworthy run", None),
        ({"do": "label a blind sample", "rows": 100}, "tuneworthy check --blind 100", None),
        ({"do": "search for a better prompt", "minutes": 3, "edit": "success.finalists"},
         "tuneworthy run", "success.finalists"),
    ],
)  # fmt: skip
def test_a_step_is_told_with_its_size(step, command, edit):
    told = with_command(Next(why="", **step))
    assert (told.command, told.edit) == (command, edit)


def test_what_was_recorded_elsewhere_is_used_there():
    assert with_command(Next(do="use it", why=""), recorded=True).command is None
    assert with_command(Next(do="settle", why=""), recorded=True).command == "tuneworthy settle"


def test_a_step_without_a_command_is_an_error():
    with pytest.raises(KeyError):
        with_command(Next(do="dance", why=""))
