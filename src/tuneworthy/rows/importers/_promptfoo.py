"""Read right answers and demands from promptfoo's assertions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuneworthy.rows.bad_rows import BadRow
from tuneworthy.rows.importers._values import Fields, right_answer_fields
from tuneworthy.rows.rows import as_text

_ONE_VALUE_TYPES = {"equals", "contains", "icontains", "similar", "levenshtein", "factuality",
                    "rouge-n", "bleu", "starts-with", "context-recall"}  # fmt: skip
_ANY_VALUE_TYPES = {"contains-any", "icontains-any"}
_ALL_VALUES_TYPES = {"contains-all", "icontains-all"}
_CONTAINS_TYPES = {"contains", "icontains", "contains-any", "icontains-any"}
_NEGATED_TYPES = {"not-contains", "not-icontains"}
_VARIABLE_PATTERN = re.compile(r"\{\{-?\s*([\w.]+)\s*-?\}\}")
# Share of the tests in which a variable equals a right answer, from which it reveals it.
_REVEALING_SHARE = 0.5


def render_variables(value: Any, given: Mapping[str, Any]) -> Any:
    """Return a value of an assertion with each `{{name}}` replaced by the test's variable.

    A list is rendered text by text. Raises BadRow for a template that is more than names.
    """
    if isinstance(value, list):
        return [render_variables(one, given) for one in value]
    if not isinstance(value, str) or "{" not in value:
        return value
    text = _VARIABLE_PATTERN.sub(lambda found: _text_of(given, found), value)
    if "{{" in text or "{%" in text:
        fix = "write the right answer itself, or a variable alone: {{name}}"
        raise BadRow("its right answer is a template that is not read", text, fix)
    return text


def _text_of(given: Mapping[str, Any], found: re.Match[str]) -> str:
    value: Any = given
    for key in found[1].split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return as_text(value) if value is not None else found[0]


def revealing_variables(tests: Sequence[tuple[Mapping[str, Any], Iterable[Any]]]) -> frozenset[str]:
    """Return the variables that reveal the right answer, so that no arm may see them.

    `tests` are the variables and the assertions of some tests. A variable reveals the answer if an
    assertion uses it, or if it equals a right answer in most tests.
    """
    made: set[str] = set()
    equal: Counter[str] = Counter()
    for given, assertions in tests:
        values = [one.get("value") for one in assertions if isinstance(one, dict)]
        rights = {as_text(text) for value in values
                  for text in (value if isinstance(value, list) else [value])}  # fmt: skip
        for text in rights:
            made |= {name.partition(".")[0] for name in _VARIABLE_PATTERN.findall(text)}
        equal.update(key for key, value in given.items() if as_text(value) in rights)
    often = {key for key, count in equal.items() if count > _REVEALING_SHARE * len(tests)}
    return frozenset(str(key) for key in made | often)


def without_revealing(given: Mapping[str, Any], told: Iterable[str]) -> Mapping[str, Any]:
    """Return a test's variables without those in `told`; all of them if none would be left."""
    kept = {key: value for key, value in given.items() if key not in told}
    return kept or given


def right_answers(assertions: Iterable[Any]) -> Fields:
    """Return the fields `output`, `accepted`, `must_say`, `must_not_say` that assertions give.

    Raises BadRow if they name no right answer: a rubric or code can't be read as one.
    """
    rights: list[str] = []
    must: list[str] = []
    never: list[str] = []
    kinds = []
    for one in assertions:
        given, value = (
            (one.get("type"), one.get("value")) if isinstance(one, dict) else (None, None)
        )
        kinds.append(kind := str(given))
        texts = [as_text(text) for text in (value if isinstance(value, list) else [value])
                 if text not in (None, "")]  # fmt: skip
        if kind in _ONE_VALUE_TYPES or kind in _ANY_VALUE_TYPES:
            rights += texts
        elif kind in _ALL_VALUES_TYPES:
            must += texts
        elif kind in _NEGATED_TYPES:
            never += texts
    found = right_answer_fields(rights) or right_answer_fields([", ".join(must)])
    if not found:
        got = ", ".join(dict.fromkeys(kinds)) or "no assertion"
        raise BadRow("its assertions name no right answer", got, "add `equals` or `contains`")
    demands = {"must_say": must, "must_not_say": never}
    return {**found, **{key: texts for key, texts in demands.items() if texts}}


def note_assertion_types(assertions: Iterable[Any], notes: dict[str, Any]) -> None:
    """Write the assertions' types, a sentence on them and their metric to `notes`.

    `notes["metric"]` is `contains` where each right answer is one that the text has to contain.
    """
    kinds: dict[str, None] = notes.setdefault("kinds", {})
    kinds.update((str(one["type"]), None) for one in assertions
                 if isinstance(one, dict) and one.get("type"))  # fmt: skip
    read = [
        kind
        for kind in kinds
        if kind in _ONE_VALUE_TYPES | _ANY_VALUE_TYPES | _ALL_VALUES_TYPES | _NEGATED_TYPES
    ]
    others = [kind for kind in kinds if kind not in read]
    notes["remark"] = f"asserts read: {', '.join(read) or 'none'}"
    if others:
        notes["remark"] += f"; not read: {', '.join(others)}"
    rights = set(read) - _NEGATED_TYPES
    notes["metric"] = "contains" if rights and rights <= _CONTAINS_TYPES else None


def assertion_of_cell(text: str) -> Fields:
    """Return the assertion of an `__expected` cell: `contains: x`, else equality with the text."""
    kind, mark, value = text.partition(":")
    kind = kind.strip()
    if not mark or not kind.replace("-", "").isalpha() or " " in kind or kind != kind.lower():
        return {"type": "equals", "value": text}
    if kind in _ANY_VALUE_TYPES | _ALL_VALUES_TYPES:
        return {"type": kind, "value": [part.strip() for part in value.split(",")]}
    return {"type": kind, "value": value.strip()}
