"""The digest of code: what does not change a result does not change it, in any Python."""

import ast
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from tuneworthy import metrics
from tuneworthy.records import code
from tuneworthy.records.code import code_digest
from tuneworthy.records.task import Data, Success, Task

CODE = '''"""A module."""
import re
from typing import Any

LIMIT = 0.5
"""What the limit is."""


class Rule(dict):
    """A rule."""

    def lowest(self, values: list[float], *, least: float | None = None) -> str:
        """Return the lowest."""
        # a comment
        found = [v for v in values if v > LIMIT and v is not least]
        if (n := len(found)) > 3:
            return f"{n:>{3}.2f} of {values!r}" "!" + f"{n=}"
        match found:
            case [float(one), *_]:
                return rf"\\d{one}"
            case _:
                pass
        try:
            return str(b"\\x00" + bytes(1j.real > -1))
        except* (ValueError, KeyError) as group:
            raise group from None


async def told(*names, **kept: Any):
    """Yield names."""
    async for name in names:
        yield lambda x=1, /, *y: (x, {**kept, "é": name}, y[::2])
'''
# The same with Python 3.11 and 3.13.
DIGEST = "6498a6c2d4fbf7fb4482a8e181b40076bd500e34e9c6d23e648ebd5bfe8ae1b5"


def digest_of(folder, text, name="code.py"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    code_digest.cache_clear()
    return code_digest((path,))


def test_the_digest_does_not_depend_on_the_version_of_python(tmp_path):
    assert digest_of(tmp_path, CODE) == DIGEST


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""\n', ""),
        ('"""What the limit is."""', '"""Another sentence."""'),
        ('"""Return the lowest."""', "'''Return it; say why.'''"),
        ("# a comment", "# another one\n"),
        ("found = [v for v in values", "found = [\n            v for v in values"),
    ],
)
def test_comments_docstrings_and_layout_are_not_part_of_it(tmp_path, old, new):
    assert CODE.count(old) == 1
    assert digest_of(tmp_path, CODE.replace(old, new)) == DIGEST


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 0.5", "LIMIT = 0.25"),
        ("v > LIMIT", "v >= LIMIT"),
        ("v is not least", "v is least"),
        (" of {values!r}", " in {values!r}"),
        ("{values!r}", "{values!s}"),
        ("(n := len(found))", "(m := len(found))"),
        ("least: float | None = None", "least: float | None = 0"),
        ("y[::2]", "y[:2]"),
        ('b"\\x00"', '"\\x00"'),
    ],
)
def test_whatever_changes_a_result_changes_it(tmp_path, old, new):
    assert CODE.count(old) == 1
    assert digest_of(tmp_path, CODE.replace(old, new)) != DIGEST


def test_a_file_that_is_no_source_counts_with_its_bytes(tmp_path):
    told = [digest_of(tmp_path, text) for text in (b"\x00\xff", b"\x00\xfe", b"not python (")]
    assert len(set(told)) == 3


def test_an_upgrade_that_edits_sentences_leaves_a_study_the_same_one(tmp_path, monkeypatch):
    task = Task(data=Data(file="rows.jsonl"), success=Success(metric="accuracy")).at(tmp_path)
    before = metrics.fingerprint(task)
    for room in ("metrics", "sandbox"):
        shutil.copytree(Path(metrics.__file__).parents[1] / room, tmp_path / room)
    monkeypatch.setattr(metrics, "__file__", str(tmp_path / "metrics" / "__init__.py"))
    edited = tmp_path / "metrics" / "_writing.py"
    code = edited.read_text("utf-8")
    end = code.index('"""', 3)
    edited.write_text(f'"""Another sentence.{code[end:]}\n# a comment\n', "utf-8")
    code_digest.cache_clear()
    assert metrics.fingerprint(task) == before
    edited.write_text(f"{code}\nMORE = 1\n", "utf-8")
    code_digest.cache_clear()
    assert metrics.fingerprint(task) != before
    code_digest.cache_clear()


@pytest.fixture
def engine(monkeypatch, tmp_path):
    """Return a function that installs an engine of one file in a folder, or none ("")."""

    def installed(folder):
        if folder:
            home = tmp_path / folder / "own_engine"
            home.mkdir(parents=True)
            (home / "__init__.py").write_text("LIMIT = 1\n")
        entry = EntryPoint("x", "own_engine", "tuneworthy.cpu_engine") if folder else None
        spec = SimpleNamespace(submodule_search_locations=[str(home)]) if folder else None
        monkeypatch.setattr(code, "cpu_engine_entry", lambda: entry)
        monkeypatch.setattr(code, "find_spec", lambda name: spec)
        code.source_digest.cache_clear()
        return code.source_digest(("records/case.py",), engine=True)

    yield installed
    code.source_digest.cache_clear()


def test_an_engine_counts_wherever_it_is_installed_and_none_counts_as_none(engine):
    without = engine("")
    assert without == code.source_digest(("records/case.py",))
    first, second = engine("a"), engine("zz/below")
    assert first == second != without


def test_threads_parse_one_at_a_time(monkeypatch):
    inside, together, parse = [], [], ast.parse

    def slow(source):
        inside.append(source)
        time.sleep(0.002)
        together.append(len(inside))
        inside.remove(source)
        return parse(source)

    monkeypatch.setattr(code.ast, "parse", slow)
    with ThreadPoolExecutor(8) as pool:
        trees = list(pool.map(code.syntax_tree, [f"x = {n}" for n in range(40)]))
    assert set(together) == {1}
    assert [tree.body[0].value.value for tree in trees] == list(range(40))


def test_no_module_parses_python_by_itself():
    src = Path(code.__file__).parents[1]
    found = [path.name for path in src.rglob("*.py") if "ast.parse(" in path.read_text("utf-8")]
    assert found == ["code.py"]
