"""Parse YAML into plain data with the line of every key: no tags, no duplicate keys, few aliases.

Values follow YAML 1.2: `no` and `yes` are words, `1e-4` is a number, dates stay text. Independent
of tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from tuneworthy.records.errors import SecurityError, TaskError

MAX_BYTES, _MOST_YAML_DEPTH, _MAX_ALIASES, _MAX_NODES = 1_000_000, 32, 20, 50_000
_INT = re.compile(r"[-+]?[0-9]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY_OR_NAN = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BOOLEAN_WORDS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
KeyPath = tuple[str | int, ...]


@dataclass
class PlainDocument:
    """A YAML document as plain data; `lines` maps each key path to its line, from 1."""

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def line(self, path: KeyPath) -> int:
        """Return the line of a key path, or of its nearest parent in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def dotted(path: KeyPath) -> str:
    """Return a key path in dotted form: `success.limits.valid`, `arms[2]`."""
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    return text.removeprefix(".")


def parse(
    text: str, name: str, most_nodes: int = _MAX_NODES, sections: bool = False
) -> PlainDocument:
    """Return a YAML text's one document as plain data. Raises TaskError with `name:line`.

    `sections`: an alias may stand for a whole section, which then counts as often as it is named.
    """
    try:
        events = YAML(typ="safe", pure=True).parse(text)
        return _Builder(name, events, most_nodes, sections).document()
    except MarkedYAMLError as error:
        raise _syntax_error(error, text, name) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise TaskError(
            "the file is not YAML", where=name, got=str(error), fix="write plain `key: value` lines"
        ) from None


def _syntax_error(error: MarkedYAMLError, text: str, name: str) -> TaskError:
    mark = error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 1
    rows = text.splitlines() or [""]
    row = rows[min(number, len(rows)) - 1]
    if "\t" in row[: len(row) - len(row.lstrip())]:
        what, fix = "a line is indented with a tab", "indent with spaces"
    else:
        what = f"the YAML can't be read: {error.problem or error.context}"
        fix = "look at this line and the one above: a missing colon, quote or bracket"
    column = mark.column + 1 if mark else 1
    return TaskError(what, where=f"{name}:{number}:{column}", got=row.strip(), fix=fix)


class _Builder:
    """Builds plain data and the lines of its keys from YAML events."""

    def __init__(self, name: str, events: Iterator[Event], most_nodes: int, sections: bool) -> None:
        self.name, self.events, self.out = name, events, PlainDocument()
        self.most_nodes, self.sections = most_nodes, sections
        self.anchors: dict[str, tuple[Any, int]] = {}  # the value and the number of its nodes
        self.aliases = self.nodes = 0

    def document(self) -> PlainDocument:
        started = False
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if started:
                    raise self.fault("a second document starts", event, "---", "keep one document")
                started = True
            elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
                self.out.data = self.node(event, ())
        return self.out

    def fault(self, what: str, event: Event, got: str, fix: str) -> TaskError:
        line = event.start_mark.line + 1 if event.start_mark else 1
        return TaskError(what, where=f"{self.name}:{line}", got=got, fix=fix)

    def node(self, event: Event, path: KeyPath) -> Any:
        self.nodes += 1
        if not self.sections:  # a task file; others may be long
            self.out.lines.setdefault(path, event.start_mark.line + 1)
        if len(path) > _MOST_YAML_DEPTH or self.nodes > self.most_nodes:
            raise self.fault("the file is nested too deep or too long", event, "", "simplify it")
        if isinstance(event, AliasEvent):
            return self.alias(event)
        before = self.nodes
        assert isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent)
        if event.tag not in (None, "!"):
            line = event.start_mark.line + 1
            raise SecurityError(
                "tags are not read",
                where=f"{self.name}:{line} {dotted(path)}",
                got=str(event.tag),
                fix="remove the tag that starts with `!`",
            )
        value = self.value(event, path)
        if event.anchor:
            self.anchors[event.anchor] = value, self.nodes - before
        return value

    def alias(self, event: AliasEvent) -> Any:
        self.aliases += 1
        if (self.aliases > _MAX_ALIASES and not self.sections) or event.anchor not in self.anchors:
            known = event.anchor in self.anchors
            what = "too many aliases" if known else "an alias names no anchor above it"
            raise self.fault(what, event, f"*{event.anchor}", "write the value out")
        value, nodes = self.anchors[event.anchor]
        self.nodes += nodes
        if self.nodes > self.most_nodes:
            raise self.fault("aliases make the file too long", event, "", "write the values out")
        if isinstance(value, dict | list) and not self.sections:
            raise self.fault(
                "an alias stands for a whole section", event, f"*{event.anchor}", "write it out"
            )
        return value

    def value(self, event: Event, path: KeyPath) -> Any:
        if isinstance(event, ScalarEvent):
            return _scalar(event.value) if event.style is None else event.value
        if isinstance(event, SequenceStartEvent):
            return self.sequence(path)
        return self.mapping(path)

    def sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.node(event, (*path, len(items))))
        return items

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        out: dict[str, Any] = {}
        lines: dict[str, int] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            if not isinstance(event, ScalarEvent):
                raise self.fault("a key is not a word", event, "", "write `key: value`")
            key = event.value
            if key == "<<" and self.sections:
                merged = self.node(next(self.events), (*path, key))
                parts = merged if isinstance(merged, list) else [merged]
                for part in parts:
                    out = part | out if isinstance(part, dict) else out
                continue
            if key == "<<":
                raise self.fault("merge keys are not read", event, "<<", "write the keys out")
            if key in lines:
                raise TaskError(
                    "a key stands twice",
                    where=f"{self.name}:{event.start_mark.line + 1} {dotted((*path, key))}",
                    got=f"`{key}`, first on line {lines[key]}",
                    fix="remove one of the two",
                )
            lines[key] = event.start_mark.line + 1
            if not self.sections:
                self.out.lines[(*path, key)] = lines[key]
            out[key] = self.node(next(self.events), (*path, key))
        return out


def _scalar(text: str) -> Any:
    if text in {"", "~", "null", "Null", "NULL"}:
        return None
    if text in _BOOLEAN_WORDS:
        return _BOOLEAN_WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text) + 0.0  # -0.0 becomes 0.0: one number, one hash
    if _INFINITY_OR_NAN.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text
