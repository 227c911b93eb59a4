"""Describe the training answers in sentences for a prompt.

Fields of JSON answers (allowed values, formats, copied or not, keys that occur together), labels
(their words, a typical input), free text and numbers (length, form). Knows no model and no metric;
the notes depend only on the given cases, not on the order of the rows.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tuneworthy.records.case import Case

MOST_FIELDS, MOST_VALUES, MOST_EXAMPLES = 40, 12, 3  # described, listed and shown
_TELLING_SHARE = 0.3  # minimum score of a word, as a share of the label's best word
_STATED_SHARE = 0.9  # minimum share of values for a trait to be stated
_VALUE_CHARACTERS = 60  # most characters shown of a value
_INPUT_CHARACTERS = 90  # most characters shown of a typical input
_TEXT_FORMS = (
    (re.compile(r"\d{4}-\d{2}-\d{2}"), "a date as YYYY-MM-DD"),
    (re.compile(r"\d{1,2}[./]\d{1,2}[./]\d{2,4}"), "a date in figures"),
    (re.compile(r"\d{1,2}:\d{2}(:\d{2})?"), "a time as HH:MM"),
    (re.compile(r"[-+]?\d+"), "a whole number in quotes"),
    (re.compile(r"[A-Z0-9]+([-_][A-Z0-9]+)*"), "capitals and figures"),
)


def field_notes(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return a line on each field of the JSON answers, then lines on keys that occur together.

    Fields are sorted by how many answers have them; those beyond MOST_FIELDS are left out. Empty if
    the answers are not JSON objects.
    """
    table = [(case, value) for case in cases if (value := json_object(case.output)) is not None]
    if not table:
        return ()
    by_path: dict[str, list[tuple[Case, Any]]] = defaultdict(list)
    for case, value in sorted(table, key=lambda pair: pair[0].id):
        for path, leaf in _json_leaves(value, ""):
            by_path[path].append((case, leaf))
    order = sorted(by_path, key=lambda path: (-len({c.id for c, _ in by_path[path]}), path))
    lines = [_field_line(path, by_path[path], len(table)) for path in order[:MOST_FIELDS]]
    return (*lines, *_key_lines_by_value(by_path, [case for case, _ in table]))


def label_notes(cases: Sequence[Case], labels: Sequence[str], *, words: bool) -> tuple[str, ...]:
    """Return a line on each label: the `words` that tell it from others, or a typical input.

    The line of a label without a training case has only its name.
    """
    labelled = [
        case for case in sorted(cases, key=lambda case: case.id) if case.output in set(labels)
    ]
    described = (
        (_telling_words(labelled) if words else _typical_inputs(labelled)) if labelled else {}
    )
    return tuple(
        f"- {label}: {described[label]}" if label in described else f"- {label}" for label in labels
    )


def text_notes(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return lines for a prompt on the length and form that nine in ten answers have."""
    texts = [case.output.strip() for case in cases if case.output.strip()]
    if not texts:
        return ()
    low, high = (int(q) for q in np.quantile([len(t.split()) for t in texts], (0.05, 0.95)))
    lines = [f"It has {_span_text(low, high, 'word')}."]
    sentences = [max(1, len(re.findall(r"[.!?](?=\s|$)", t))) for t in texts]
    if high > MOST_VALUES:
        low, high = (int(q) for q in np.quantile(sentences, (0.1, 0.9)))
        lines.append(f"It has {_span_text(low, high, 'sentence')}.")
    traits = {
        "It is one line.": [("\n" not in t) for t in texts],
        "It has several lines.": ["\n" in t for t in texts],
        "It ends with a full stop.": [t.endswith(".") for t in texts],
        "It does not end with a full stop.": [t[-1].isalnum() for t in texts],
        "It is in lower case.": [t == t.lower() and t != t.upper() for t in texts],
        "It is a whole number without anything else.": [t.lstrip("-").isdigit() for t in texts],
    }
    lines += [line for line, has in traits.items() if float(np.mean(has)) >= _STATED_SHARE]
    first, times = Counter(t.split()[0] for t in texts).most_common(1)[0]
    if times >= _STATED_SHARE * len(texts) > 1 and not first.lstrip("-").isdigit():
        lines.append(f'It begins with "{first}".')
    return tuple(lines)


def style_samples(cases: Sequence[Case], count: int) -> tuple[str, ...]:
    """Return up to `count` distinct answers of about the median length, each as one line."""
    texts = sorted({" ".join(case.output.split()) for case in cases if case.output.strip()})
    if not texts:
        return ()
    usual = float(np.median([len(text) for text in texts]))
    return tuple(sorted(texts, key=lambda text: (abs(len(text) - usual), text))[:count])


def json_skeleton(cases: Sequence[Case]) -> str:
    """Return a JSON text with the keys that most answers have, values as "…"; "" without JSON."""
    values = [value for case in cases if (value := json_object(case.output)) is not None]
    if not values:
        return ""
    return json.dumps(_common_form(values), ensure_ascii=False)


def _common_form(values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(key for value in values for key in value)
    out: dict[str, Any] = {}
    for key in [key for key in counts if counts[key] * 2 >= len(values)]:
        inner = [value[key] for value in values if key in value]
        whole = all(isinstance(value_, dict) for value_ in inner)
        out[key] = (_common_form(inner) or {"…": "…"}) if whole else _blank(inner[0])
    return out


def _blank(value: Any) -> Any:
    return ["…"] if isinstance(value, list) else "…"


def _field_line(path: str, pairs: Sequence[tuple[Case, Any]], rows: int) -> str:
    values = [value for _, value in pairs]
    share = len({case.id for case, _ in pairs}) / rows
    often = "" if share == 1 else " (optional)"
    return f"- {path}{often}: {_kind_of_values(pairs, [_short_json(v) for v in values])}"


def _kind_of_values(pairs: Sequence[tuple[Case, Any]], shown: Sequence[str]) -> str:
    values = [value for _, value in pairs]
    counts = Counter(shown)
    usual = sorted(counts, key=lambda text: (-counts[text], len(text), text))
    if len(counts) <= MOST_VALUES and len(shown) >= 3 * len(counts):
        return "always " + usual[0] if len(counts) == 1 else "one of " + ", ".join(usual)
    examples = ", ".join(usual[:MOST_EXAMPLES])
    if all(isinstance(value, bool) for value in values):
        return "true or false"
    if all(isinstance(value, int | float) for value in values):
        return f"a number, as {examples}"
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values) or not texts:
        return f"as {examples}"
    copied = [text.casefold() in case.input.casefold() for case, text in pairs]
    if float(np.mean(copied)) >= _STATED_SHARE:
        return f"copied from the input, as {examples}"
    for pattern, name in _TEXT_FORMS:
        if float(np.mean([bool(pattern.fullmatch(text)) for text in texts])) >= _STATED_SHARE:
            return f"{name}, as {examples}"
    return f"as {examples}"


def _key_lines_by_value(
    by_path: dict[str, list[tuple[Case, Any]]], cases: Sequence[Case]
) -> Iterator[str]:
    """Yield, for each value of the field with the fewest values, a line on the keys beside it.

    Those are the keys that a fifth of the answers with that value have; there are no lines if all
    answers have the same keys.
    """
    whole = {path: {c.id: _short_json(v) for c, v in pairs} for path, pairs in by_path.items()}
    partial = [path for path in whole if len(whole[path]) < len(cases)]
    for path in sorted(whole, key=lambda path: (len(set(whole[path].values())), path)):
        kinds = Counter(whole[path].values())
        if len(whole[path]) < len(cases) or not 2 <= len(kinds) <= MOST_VALUES or not partial:
            continue
        for value, times in sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0])):
            ids = [i for i, shown in whole[path].items() if shown == value]
            often = {p: sum(i in whole[p] for i in ids) / times for p in partial}
            keys = sorted((p for p in partial if often[p] >= 0.2), key=lambda p: (-often[p], p))
            yield f"- with {path} {value}: {', '.join(keys) if keys else 'no other key'}"
        return


def _telling_words(cases: Sequence[Case]) -> dict[str, str]:
    """Return, by label, the three words whose mean TF-IDF exceeds the overall mean most."""
    fitted = _tfidf(cases, {"ngram_range": (1, 1), "token_pattern": r"[^\W\d_]{3,}"})
    if fitted is None:
        return {}
    matrix, names = fitted
    overall = np.asarray(matrix.mean(0)).ravel()
    by_label = {}
    for label, rows in _rows_by_label(cases).items():
        beyond = np.asarray(matrix[rows].mean(0)).ravel() - overall
        best = np.lexsort((np.arange(beyond.size), -np.round(beyond, 9)))[:MOST_EXAMPLES]
        least = max(_TELLING_SHARE * float(beyond.max()), 1e-9)
        by_label[label] = ", ".join(str(names[at]) for at in best if beyond[at] >= least)
    return {label: text for label, text in by_label.items() if text}


def _typical_inputs(cases: Sequence[Case]) -> dict[str, str]:
    """Return, by label, the input nearest the centroid of its inputs, cut and in quotes."""
    fitted = _tfidf(cases, {"ngram_range": (1, 2), "token_pattern": r"\w+"})
    by_label = {}
    for label, rows in _rows_by_label(cases).items():
        at = rows[0]
        if fitted is not None:
            own = fitted[0][rows]
            near = np.round(np.asarray(own @ own.mean(0).T).ravel(), 9)
            at = rows[int(near.argmax())]
        text = " ".join(cases[at].input.split())
        by_label[label] = (
            f'"{text if len(text) <= _INPUT_CHARACTERS else text[: _INPUT_CHARACTERS - 1] + "…"}"'
        )
    return by_label


def _rows_by_label(cases: Sequence[Case]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for at, case in enumerate(cases):
        rows[case.output].append(at)
    return rows


def _tfidf(cases: Sequence[Case], how: dict[str, Any]) -> tuple[Any, Any] | None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, **how)
    try:
        matrix = vectorizer.fit_transform([case.input[:2000] for case in cases])
    except ValueError:  # no word in any input
        return None
    return matrix, vectorizer.get_feature_names_out()


def _span_text(low: int, high: int, unit: str) -> str:
    counted = f"{low} to {high}" if low < high else str(high)
    return f"{counted} {unit}{'s' * (high != 1)}"


def _json_leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _json_leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _json_leaves(inner, f"{path}[]")
    elif path:
        yield path, value


def _short_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARACTERS else text[: _VALUE_CHARACTERS - 1] + "…"


def json_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is; None if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
