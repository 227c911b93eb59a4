"""Read values of foreign records: inputs, answers, turns of a conversation, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneworthy.rows.chat import are_turns, parse_json_text, plain_turn
from tuneworthy.rows.rows import as_text
from tuneworthy.rows.table_columns import INPUTS, OUTPUTS, TRUTHS, is_id_name, name_rank, words_of

Fields = dict[str, Any]
_ANSWERS = ("output", "answer", "response", "result", "completion", "prediction", "generation",
            "text", "content")  # fmt: skip


def input_fields(value: Any) -> Fields | None:
    """Return {"messages"} for turns and {"input"} for any other value; None if it is empty.

    Turns may be a list, an object with `messages`, or the JSON text of one of the two. An object of
    several texts becomes one line per text, an object of one text that text.
    """
    value = parse_json_text(value)
    if isinstance(value, dict) and are_turns(value.get("messages")):
        value = value["messages"]
    if are_turns(value):
        return {"messages": [plain_turn(one) for one in value]}
    if isinstance(value, dict):
        value = text_lines(value)
    return {"input": as_text(value)} if value not in (None, "", [], {}) else None


def answer_text(value: Any) -> str | None:
    """Return an answer as text, that of the (last) turn, other values as JSON; None if empty."""
    value = parse_json_text(value)
    if isinstance(value, dict) and isinstance(value.get("role"), str):
        value = [value]
    if are_turns(value):
        value = plain_turn(value[-1])["content"]
    return as_text(value) if value not in (None, "") else None


def text_lines(value: Mapping[str, Any]) -> str:
    """Return the text of the only value, else `name: value` lines of the values not empty."""
    kept = {key: one for key, one in value.items() if one not in (None, "")}
    if len(kept) == 1:
        return as_text(next(iter(kept.values())))
    return "\n".join(f"{key}: {as_text(one)}" for key, one in kept.items())


def unwrapped(value: Any) -> Any:
    """Return the answer in an object of named values: the only one, or the one called so.

    Evaluation tools hold what a function was given and returned as such objects, some as JSON text.
    Turns, and an object none of whose values is called an answer, are returned as they are.
    """
    value = parse_json_text(value)
    if not isinstance(value, dict) or "role" in value or are_turns(value.get("messages")):
        return value
    kept = {key: one for key, one in value.items() if one is not None}
    if not kept:
        return None
    lowered = {key.lower(): key for key in reversed(kept)}
    names = [lowered[name] for name in (*TRUTHS, *_ANSWERS) if name in lowered]
    name = next(iter(kept)) if len(kept) == 1 else next(iter(names), None)
    return value if name is None else kept[name]


def parted_example(value: Any) -> tuple[Any, Any]:
    """Return (input, right answer) of an object that holds both, None for an answer not found.

    The answer is called `expected_output`, `label` or alike; ids belong to neither.
    """
    value = parse_json_text(value)
    if not isinstance(value, dict):
        return value, None
    free = {key: one for key, one in value.items() if not is_id_name(key)}
    true = [key for key in free if set(TRUTHS) & set(words_of(key))]
    ranked = {key: rank for key in free if (rank := name_rank(key, OUTPUTS)) is not None
              and name_rank(key, INPUTS) is None}  # fmt: skip
    right = next(iter(true), None) or min(ranked, key=lambda key: ranked[key], default=None)
    asked = {key: one for key, one in free.items() if key != right}
    return asked or None, None if right is None else free[right]


def answer_fields(text: str | None, **measured: Any) -> Fields | None:
    """Return {"answer": text} with the measured numbers above 0 (usd, …), None without text."""
    if text is None:
        return None
    numbers = {
        key: value
        for key, value in measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    }
    return {"answer": text, **numbers}


def right_answer_fields(values: Any) -> Fields:
    """Return the fields of right answers: the first as `output`, the others as `accepted`."""
    texts = [as_text(one) for one in (values if isinstance(values, list) else [values])
             if one not in (None, "")]  # fmt: skip
    texts = list(dict.fromkeys(texts))
    if not texts:
        return {}
    return {"output": texts[0]} | ({"accepted": texts[1:]} if texts[1:] else {})


def nested_value(value: Any, *keys: str) -> Any:
    """Return the value at nested keys, None if one of them is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
