"""Say what the columns of a table are: input, right answer, answers of systems; and why.

Names and values both speak. A column is proposed only where something speaks for it; what people
name themselves (`Choice`) always wins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tuneworthy.core.errors import TaskError
from tuneworthy.data.rows import as_text

_INPUT = ("input", "prompt", "question", "query", "text", "message", "utterance", "user_input",
          "request", "instruction", "content", "body", "ticket", "email", "comment", "review",
          "sentence", "document", "article", "description", "title", "subject", "customer",
          "problem", "source", "src", "user", "frage", "texto")  # fmt: skip
_OUTPUT = ("output", "label", "target", "answer", "gold", "expected", "ground_truth", "groundtruth",
           "correct", "reference", "completion", "response", "ideal", "category", "class", "intent",
           "topic", "sentiment", "team", "queue", "tag", "labels", "answers", "solution", "reply",
           "summary", "translation", "tgt", "human")  # fmt: skip
_SYSTEM = ("prediction", "predicted", "pred", "model", "generated", "generation", "bot", "llm",
           "ai", "assistant", "system", "current", "present", "production", "prod", "today",
           "baseline", "gpt", "claude", "llama", "mistral", "gemini", "qwen", "haiku", "sonnet",
           "opus", "deepseek", "phi", "tuned", "finetuned", "ft", "o1", "o3",
           "o4")  # fmt: skip
_PRESENT = {"current", "present", "production", "prod", "today"}
_PLAIN = {"id", "group", "time", "context", "accepted", "must_say", "must_not_say", "meta"}
_NOT_TEXT = re.compile(r"(^|_)(id|uuid|date|time|timestamp|created|updated|score|cost|usd|latency|"
                       r"seconds|tokens|confidence|url|index|idx|split)(_|$)")  # fmt: skip
_FEW = 300  # distinct answers up to which two columns are compared as labels
_ALIKE = 0.3  # share of rows in which two columns agree, from which one answers like the other


@dataclass(frozen=True)
class Choice:
    """Columns that people named: input, right answer, the present system, other systems."""

    input: str | None = None
    output: str | None = None
    present: str | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    lists: str = "alternatives"

    @property
    def named(self) -> bool:
        """Return whether anything is named."""
        return bool(self.input or self.output or self.present or self.answers)


@dataclass(frozen=True)
class Roles:
    """What columns are taken for. `systems` maps the name of a system to its column.

    `alternatives`: the right answers are lists, any of which is right.
    """

    input: str
    output: str
    systems: Mapping[str, str]
    plain: tuple[str, ...] = ()
    alternatives: bool = False

    @cached_property
    def used(self) -> frozenset[str]:
        """Return the columns that have a role."""
        return frozenset({self.input, self.output, *self.systems.values(), *self.plain})


def propose(sample: Sequence[Mapping[str, Any]], choice: Choice) -> Roles | str:
    """Return the roles of the columns, or the role that no column has: `input`, `output`.

    Raises TaskError for a column that was named and is not there.
    """
    columns = list(dict.fromkeys(key for row in sample for key in row))
    for name in (choice.input, choice.output, choice.present, *choice.answers.values()):
        if name is not None and name not in columns:
            raise TaskError("no column has this name", got=name, kept="",
                            fix=f"there are: {', '.join(columns)}")  # fmt: skip
    named = {choice.input, choice.output, choice.present, *choice.answers.values()} - {None}
    free = [name for name in columns if name not in named and name not in _PLAIN]
    texts = {name: [row[name] for row in sample if row.get(name) not in (None, "")]
             for name in columns}  # fmt: skip
    asked = choice.input or _best(free, _INPUT, texts, long=True)
    if asked is None:
        return "input"
    free = [name for name in free if name != asked and _speaks(name, texts[name])]
    right = choice.output or _right(free, texts)
    if right is None:
        return "output"
    systems = dict(choice.answers)
    if choice.present:
        systems = {"present": choice.present, **systems}
    if not systems:
        systems = _systems([name for name in free if name != right], right, sample)
    alternatives = choice.lists == "alternatives" and _are_alternatives(texts[right])
    plain = tuple(name for name in columns if name in _PLAIN and name not in {asked, right})
    return Roles(asked, right, systems, plain, alternatives)


def _words(name: str) -> list[str]:
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[^a-z0-9]+", split.lower()) if word]


def _rank(name: str, known: Sequence[str]) -> int | None:
    """Return the place of a column in a list of names, None if no word of it stands there."""
    words = _words(name)
    whole = "_".join(words)
    if whole in known:
        return known.index(whole)
    found = [known.index(word) for word in words if word in known]
    return 100 + min(found) if found else None


def _speaks(name: str, values: Sequence[Any]) -> bool:
    """Return whether a column can hold answers: no id, date, score or cost by its name."""
    return bool(values) and not _NOT_TEXT.search("_".join(_words(name)))


def _best(
    free: Sequence[str], known: Sequence[str], texts: Mapping[str, Sequence[Any]], *, long: bool
) -> str | None:
    """Return the column whose name ranks first; without one, of texts that differ the longest."""
    able = [name for name in free if _speaks(name, texts[name])]
    ranked = [(rank, name) for name in able if (rank := _rank(name, known)) is not None
              and not (_rank(name, _SYSTEM) is not None and rank >= 100)]  # fmt: skip
    if ranked:
        return min(ranked, key=lambda pair: pair[0])[1]
    if not long:
        return None
    lengths = {name: sum(len(v) for v in texts[name]) / len(texts[name]) for name in able
               if all(isinstance(v, str) for v in texts[name]) and _varied(texts[name])
               and _rank(name, _SYSTEM) is None and _rank(name, _OUTPUT) is None}  # fmt: skip
    return max(lengths, key=lambda name: lengths[name], default=None)


def _varied(values: Sequence[Any]) -> bool:
    """Return whether texts differ and have letters: a column of numbers is no input."""
    letters = sum(any(map(str.isalpha, value)) for value in values[:50])
    return len(set(values)) > 0.5 * len(values) and letters > len(values[:50]) / 2


def _right(free: Sequence[str], texts: Mapping[str, Sequence[Any]]) -> str | None:
    """Return the column of right answers: by its name, else the only one of few values."""
    if by_name := _best(free, _OUTPUT, texts, long=False):
        return by_name
    others = [name for name in free if _rank(name, _SYSTEM) is None]
    few = [name for name in others if _labels(texts[name])]
    return few[0] if len(few) == 1 else others[0] if len(others) == 1 else None


def _labels(values: Sequence[Any]) -> bool:
    counts = Counter(map(as_text, values))
    return 1 < len(counts) <= max(2, len(values) / 2) and max(map(len, counts)) <= 80


def _systems(
    free: Sequence[str], right: str, sample: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Return the columns that look like a system's answers, by their names or by their values."""
    found = [name for name in free if _answers_like(name, right, sample)]
    if len(found) == 1:
        return {"present": found[0]}
    named: dict[str, str] = {}
    for column in found:
        words = set(_words(column))
        name = "present" if words & _PRESENT and "present" not in named else system_name(column)
        named[name if name not in named else f"{name}-{len(named) + 1}"] = column
    return named


def _answers_like(name: str, right: str, sample: Sequence[Mapping[str, Any]]) -> bool:
    pairs = [(_key(row[name]), _key(row[right])) for row in sample
             if row.get(name) not in (None, "") and row.get(right) not in (None, "")]  # fmt: skip
    if not pairs:
        return False
    equal = sum(one == other for one, other in pairs) / len(pairs)
    if _rank(name, _SYSTEM) is not None:
        return equal < 1 or len(pairs) < 20
    golds, said = {gold for _, gold in pairs}, {one for one, _ in pairs}
    shared = len(golds) <= _FEW and len(said & golds) >= 0.8 * len(said)
    return _ALIKE <= equal < 1 and (shared or len(golds) > _FEW)


def _key(value: Any) -> str:
    return " ".join(as_text(value).casefold().split())


def system_name(text: str) -> str:
    """Return a name of letters, digits, dot, dash and underscore for a system; never empty."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:48]
    return name or "system"


def row_of(record: Mapping[str, Any], roles: Roles) -> dict[str, Any]:
    """Return the fields of a row; the columns without a role go to `meta`."""
    asked, right = record.get(roles.input), record.get(roles.output)
    fields: dict[str, Any] = {name: record[name] for name in roles.plain if name in record}
    fields["input"] = None if asked is None else as_text(asked)
    fields["output"] = right
    listed = _listed(right)
    if roles.alternatives and isinstance(listed, list):
        texts = list(dict.fromkeys(as_text(one) for one in listed if one not in (None, "")))
        fields["output"] = texts[0] if texts else None
        if texts[1:]:
            fields["accepted"] = texts[1:]
    if rest := {key: value for key, value in record.items() if key not in roles.used}:
        fields["meta"] = {**(fields.get("meta") or {}), **rest}
    return fields


def _listed(value: Any) -> Any:
    """Return the list of answers in a right answer: SQuAD has them under `text`."""
    return value.get("text", value) if isinstance(value, dict) else value


def _are_alternatives(values: Sequence[Any]) -> bool:
    """Return whether right answers are lists of plain values, none of them empty.

    A list of objects, or an empty one, is itself an answer: the things found in a text.
    """
    lists = [found for value in values if isinstance(found := _listed(value), list)]
    plain = all(found and all(isinstance(one, str | int | float) for one in found)
                for found in lists)  # fmt: skip
    return plain and len(lists) > len(values) / 2


def answers_of(record: Mapping[str, Any], roles: Roles) -> dict[str, dict[str, Any]]:
    """Return what the systems answered to a row; an empty cell is no answer."""
    return {
        name: {"answer": record[column]}
        for name, column in roles.systems.items()
        if record.get(column) not in (None, "")
    }
