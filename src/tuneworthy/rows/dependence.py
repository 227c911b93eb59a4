"""Find columns whose values tie rows together: a customer or a document of several rows, a date.

They are proposed for `group` and `time`, each with what it does to the bounds, and never taken.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tuneworthy.rows.rows import id_text, sortable_time
from tuneworthy.rows.table_columns import (
    are_codes,
    has_letter,
    is_id_name,
    is_key_name,
    joined_input,
    value_of,
    words_of,
)

_UNITS = {
    "account", "article", "author", "book", "call", "caller", "case", "chat", "client", "company",
    "contact", "contract", "conversation", "customer", "dialog", "dialogue", "doc", "document",
    "employee", "firm", "household", "member", "organisation", "organization", "page", "paper",
    "patient", "person", "repo", "repository", "sender", "session", "speaker", "student",
    "subscriber", "supplier", "thread", "ticket", "user", "vendor", "video",
    "autor", "dokument", "firma", "gespräch", "konto", "kunde", "kunden", "lieferant", "nutzer",
    "patientin", "sitzung", "verfasser", "vertrag", "vorgang",
}  # fmt: skip
_NAMING = {"name", "code", "email", "mail", "uri", "url"}  # `customer name` names a customer
_MOST_LABELS = 12  # distinct codes up to which they may be labels, as `v1` and `v2` are
_LEAST_TIED = 0.1  # the smallest share of rows that share their value with another row
_LONGEST_VALUE = 80
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")


def dependent_columns(
    sample: Sequence[Mapping[str, Any]], free: Sequence[str], inputs: Sequence[str], right: str
) -> dict[str, tuple[str, ...]]:
    """Return {"group": columns, "time": columns} that may say how rows depend on each other.

    `free` are the columns without a role, `inputs` and `right` those of the input and the right
    answer. Those of the largest groups come first. A key without any column is left out.
    """
    columns = {name: [row.get(name) for row in sample] for name in free}
    others = (
        [joined_input(row, inputs) for row in sample],
        [value_of(row, right) for row in sample],
    )
    tied = {name: len(set(map(id_text, values))) for name, values in columns.items()
            if _is_group(name, values, others)}  # fmt: skip
    dated = tuple(name for name, values in columns.items() if _are_dates(values))
    found = {"group": tuple(sorted(tied, key=lambda name: tied[name])), "time": dated}
    return {key: names for key, names in found.items() if names}


def _is_group(name: str, values: Sequence[Any], others: Sequence[Sequence[Any]]) -> bool:
    """Return whether several rows share a value that is an id or a name, and no label."""
    texts = [id_text(value) for value in values]
    filled = [at for at, text in enumerate(texts) if text]
    counts = Counter(texts[at] for at in filled)
    tied = sum(count for count in counts.values() if count > 1)
    if len(counts) < 2 or 2 * len(filled) < len(values) or tied < _LEAST_TIED * len(filled):
        return False
    if any(len(str(text)) > _LONGEST_VALUE for text in counts):
        return False
    for other in others:  # a number of each input, or of each label, ties nothing together
        pairs = {(texts[at], str(other[at])) for at in filled}
        if len(pairs) == len(counts) == len({text for _, text in pairs}):
            return False
    words = words_of(name)
    units = [word for word in words if word in _UNITS or word.removesuffix("id") in _UNITS]
    naming = [word for word in words if word in _NAMING or is_key_name(word)]
    if units and set(words) == {*units, *naming}:
        return True
    coded = are_codes(list(counts)) and all(map(has_letter, counts))
    return len(counts) > _MOST_LABELS and (coded or is_id_name(name))


def _are_dates(values: Sequence[Any]) -> bool:
    """Return whether each row has an ISO date, and they are not all one day."""
    texts = [str(value).strip() for value in values]
    if len({text[:10] for text in texts}) < 2 or not all(map(_DATE.fullmatch, texts)):
        return False
    try:
        return all(sortable_time(text) is not None for text in texts)
    except ValueError:
        return False


def proposal_sentences(
    likely: Mapping[str, Sequence[str]], option: str = "--{} COLUMN"
) -> list[str]:
    """Return for `group` and `time` which option takes a column, and what it does to the bounds.

    `option` says how the user names a column, with `{}` for the role.
    """
    shown = {key: [f"`{name[:30]}`" for name in names[:3]] for key, names in likely.items()}
    said = []
    if names := shown.get("group"):
        several = len(names) > 1
        said.append(
            f"{' and '.join(names)} repeat{'s' * (not several)}, as ids do:"
            f"{' name the one whose rows are alike;' * several} with {option.format('group')} rows"
            f" of one {names[0]} stay on one side of each split and count together: the interval is"
            " wider, and honest. Without it each row counts as independent."
        )
    if names := shown.get("time"):
        said.append(
            f"{' and '.join(names)} hold{'s' * (len(names) == 1)} dates: with"
            f" {option.format('time')} the earliest rows only teach, and arms learn from earlier"
            " rows than they are scored on: fewer rows count, so the interval is wider. Without it"
            " later rows teach too."
        )
    return said
