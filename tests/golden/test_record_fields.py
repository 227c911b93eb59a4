"""What a stored file means by a field that it leaves out, and what each field accepts.

A change on purpose is one to `record-fields.txt` too: it holds the lines of `all_lines`.
"""

import dataclasses
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from tuneworthy import records
from tuneworthy.records.record import Record

FILE = Path(__file__).with_name("record-fields.txt")
MODULES = [
    importlib.import_module(f"{records.__name__}.{module.name}")
    for module in pkgutil.iter_modules(records.__path__)
]


def lines_of(kind):
    """Return a line for each field of a record or dataclass: its default, alias and limits."""
    name = f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}"
    if later := getattr(kind, "LATER", None):
        yield f"{name}: left out where default: {', '.join(sorted(later))}"
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            made = field.default_factory is not dataclasses.MISSING
            default = field.default_factory() if made else field.default
            needed = default is dataclasses.MISSING
            yield f"{name}.{field.name} {'is required' if needed else f'= {default!r}'}"
        return
    for field, info in kind.model_fields.items():
        default = (
            "is required"
            if info.is_required()
            else f"= {info.get_default(call_default_factory=True)!r}"
        )
        extra = [f"alias {info.alias}"] * bool(info.alias) + [repr(one) for one in info.metadata]
        yield f"{name}.{field} {'; '.join([default, *extra])}"


def all_lines():
    kinds = {
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
        if issubclass(kind, Record) or dataclasses.is_dataclass(kind)
    }
    lines = [line for kind in kinds for line in lines_of(kind)]
    return sorted(re.sub(r" at 0x[0-9a-f]+", "", line) for line in lines)


def test_every_default_and_limit_of_a_record_is_the_one_that_stored_files_mean():
    assert all_lines() == FILE.read_text().splitlines()


@pytest.mark.parametrize("change", ["context: str | None = ''", "context: str | None"])
def test_another_default_is_another_line(change):
    space = {"Record": Record, "__name__": "tuneworthy.records.case"}
    exec(f"class Case(Record):\n    {change}", space)
    (line,) = lines_of(space["Case"])
    assert line.startswith("case.Case.context ")
    assert line not in FILE.read_text().splitlines()
