"""The right answers that promptfoo's assertions name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tuneworthy.data.raw import BadRow
from tuneworthy.data.rows import as_text
from tuneworthy.importers._values import Fields, several

_ONE = {"equals", "contains", "icontains", "similar", "levenshtein", "factuality", "rouge-n",
        "bleu", "starts-with", "context-recall"}  # fmt: skip
_ANY = {"contains-any", "icontains-any"}
_ALL = {"contains-all", "icontains-all"}


def right_answers(assertions: Iterable[Any]) -> Fields:
    """Return `output`, `accepted`, `must_say` and `must_not_say` as far as assertions name them.

    Raises BadRow if they name no right answer: a rubric or code can't be read as one.
    """
    rights: list[str] = []
    must: list[str] = []
    never: list[str] = []
    kinds = []
    for one in assertions:
        kind, value = (one.get("type"), one.get("value")) if isinstance(one, dict) else (None, None)
        kinds.append(str(kind))
        texts = [as_text(text) for text in (value if isinstance(value, list) else [value])
                 if text not in (None, "")]  # fmt: skip
        if kind in _ONE or kind in _ANY:
            rights += texts
        elif kind in _ALL:
            must += texts
        elif kind in {"not-contains", "not-icontains"}:
            never += texts
    found = several(rights) or several([", ".join(must)])
    if not found:
        got = ", ".join(dict.fromkeys(kinds)) or "no assertion"
        raise BadRow("its assertions name no right answer", got, "add `equals` or `contains`")
    demands = {"must_say": must, "must_not_say": never}
    return {**found, **{key: texts for key, texts in demands.items() if texts}}


def from_cell(text: str) -> Fields:
    """Return the assertion of an `__expected` cell: `contains: x`, else the whole text equals."""
    kind, mark, value = text.partition(":")
    kind = kind.strip()
    if not mark or not kind.replace("-", "").isalpha() or " " in kind or kind != kind.lower():
        return {"type": "equals", "value": text}
    if kind in _ANY | _ALL:
        return {"type": kind, "value": [part.strip() for part in value.split(",")]}
    return {"type": kind, "value": value.strip()}
