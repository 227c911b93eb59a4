"""Write the generated pages of docs/: `python tools/reference_pages.py`.

Sources: the command line, the records of task.yaml and verdict.json, the exit codes, the public
names, the results of the experiments. `tests/house/test_docs.py` fails where a page differs from
what this would write.
"""

from __future__ import annotations

import inspect
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _article
import _commands
import _keys
import _promises

import tuneworthy
from tuneworthy.records import errors
from tuneworthy.records.errors import EXIT_CODES
from tuneworthy.records.plugins import catalogue

DOCS = Path(__file__).resolve().parents[1] / "docs"
NOTE = "<!-- Written by tools/reference_pages.py: edit its source, not this page. -->\n\n"
EXIT_HEAD = """# Exit codes

What a command returns to the shell. `run --help` lists those of `run`.

| code | means | errors |
|---|---|---|"""
EXIT_TAIL = """
An error names what is wrong, where, what was got, how to fix it and what was kept. With `--json` it
is also printed as JSON on stdout.

## Error classes
"""


def pages() -> dict[Path, str]:
    """Return {file: text} of every generated page."""
    reference = {
        "commands": _commands.page(),
        "verdict-json": _keys.verdict_page(),
        "exit-codes": exit_codes_page(),
        "python": python_page(),
    }
    written = {DOCS / "reference" / f"{name}.md": NOTE + text for name, text in reference.items()}
    written[DOCS / "evidence" / "the-article.md"] = NOTE + _article.page()
    promised = DOCS / "evidence" / "reliability.md"
    written[promised] = _promises.with_promises(promised.read_text("utf-8"))
    keys = DOCS / "how-to" / "task-yaml.md"
    written[keys] = _keys.with_key_table(keys.read_text("utf-8"))
    written[DOCS / "llms.txt"] = llms_text()
    return written


def exit_codes_page() -> str:
    """Return the page of exit codes, with the error classes of each."""
    rows = []
    for code, meaning in EXIT_CODES.items():
        named = ", ".join(f"`{kind.__name__}`" for kind in _classes() if kind.exit_code == code)
        rows.append(f"| {code} | {meaning} | {named} |")
    classes = [f"- `{kind.__name__}`: {_first_line(kind)}" for kind in _classes()]
    return "\n".join([EXIT_HEAD, *rows, EXIT_TAIL, *classes]) + "\n"


def _classes() -> list[type[errors.TuneworthyError]]:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind)]
    return [kind for kind in kinds if issubclass(kind, errors.TuneworthyError)]


def _doc(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def _first_line(thing: Any) -> str:
    return _doc(thing).partition("\n")[0]


def python_page() -> str:
    """Return the page of the public names of `tuneworthy`."""
    parts = [
        "# Python",
        "`import tuneworthy` has these names and no others. The rest of the package may change.",
        "```python\nimport tuneworthy\n\n"
        'study = tuneworthy.run("task.yaml", tuneworthy.RunOptions(brief=True))\n'
        "study.verdict.use, study.verdict.arm, study.verdict.status\n```",
    ]
    for name in sorted(tuneworthy.__all__, key=str.lower):
        thing = getattr(tuneworthy, name)
        parts += [f"## {name}", f"```python\n{_signature(name, thing)}\n```", _doc(thing)]
        if inspect.isclass(thing):
            parts += ["\n".join(members)] if (members := list(_members(thing))) else []
    return "\n\n".join(parts) + "\n"


def _signature(name: str, thing: Any) -> str:
    """Return a signature in one line, or in one line a parameter where that is too long."""
    signature = inspect.signature(thing)
    if inspect.isclass(thing):
        signature = signature.replace(return_annotation=inspect.Signature.empty)
    words = [_parameter(one) for one in signature.parameters.values()]
    back = signature.return_annotation
    tail = "" if back is inspect.Signature.empty else f" -> {back}"
    line = f"{name}({', '.join(words)}){tail}"
    if len(line) <= 80:
        return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){tail}"


def _parameter(one: inspect.Parameter) -> str:
    if one.default is inspect.Parameter.empty:
        return f"{one.name}: {one.annotation}"
    plain = isinstance(one.default, str | int | float | None)
    default = repr(one.default) if plain else f"{type(one.default).__name__}()"
    return f"{one.name}: {one.annotation} = {default}"


def _members(kind: type) -> Iterator[str]:
    """Yield a line for each public property and method that a class documents."""
    for name, member in vars(kind).items():
        if name.startswith("_") or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        call = "" if isinstance(member, property) else "()"
        yield f"- `{name}{call}`: {' '.join(_doc(member).split())}"


def llms_text() -> str:
    """Return llms.txt, what a coding agent needs: `llms.in.txt` with the names of today."""
    commands = [f"- `tuneworthy {c.name}`: {_commands.first_line(c)}" for c in _commands.commands()]
    values = {
        "commands": "\n".join(commands),
        "codes": "\n".join(f"- {code}: {meaning}" for code, meaning in EXIT_CODES.items()),
        "arms": ", ".join(catalogue("arms")),
        "metrics": ", ".join(catalogue("metrics")),
    }
    text = (Path(__file__).parent / "llms.in.txt").read_text("utf-8")
    return string.Template(text).substitute(values)


def main() -> None:
    """Write the pages that differ, and name them."""
    for path, text in pages().items():
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    main()
