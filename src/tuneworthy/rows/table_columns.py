"""Columns by their names and values: those that the user named, words, ids, labels, parts."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, overload

from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.rows.rows import as_text

OUR_FIELDS = {"id", "group", "time", "context", "accepted", "must_say", "must_not_say", "meta"}
_ID_NAMES = {"id", "ids", "uuid", "guid", "uid", "qid", "rid", "sid", "pid", "tid", "nr", "no",
             "nummer", "numéro", "numero", "número"}  # fmt: skip
_BEFORE_ID_WORDS = {"row", "case", "doc", "msg", "item", "test", "task", "ex", "ticket", "question",
              "sample", "record", "order", "user", "message", "document", "request"}  # fmt: skip
_ALONE_IDS = (["case"], ["row"])  # the whole name: `case text` is no id
_KEY_WORDS = {"key", "number", "index", "idx"}
_NUMBER_SIGN = re.compile(r"№|#|\b[nN]\s*[°º]")
_LONGEST_ID = 64
_DATE_OR_DECIMAL = re.compile(
    r"\d{4}-\d\d-\d\d\b.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}\b.*|[-+]?\d+[.,]\d+"
)
# Share of a column's values that equal its name, from which the name is a value.
_NAME_REPEATED_SHARE = 0.05
_CODE_PATTERN = re.compile(r"[A-Za-z_/#.-]*\d[A-Za-z0-9_/#.-]*")


def words_of(name: str) -> list[str]:
    """Return the words of a column's name in lower case: `TeamId` is `team`, `id`."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return [word for word in re.split(r"[\W_]+", split.casefold()) if word]


def system_name(text: str) -> str:
    """Return a name of letters, digits, dot, dash and underscore for a system; never empty."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:48]
    return name or "system"


def name_rank(name: str, known: Sequence[str]) -> int | None:
    """Return the rank of a column's name, 0 for the best known; None if it has no known word."""
    words = words_of(name)
    whole = "_".join(words)
    if whole in known:
        return known.index(whole)
    found = [known.index(word) for word in words if word in known]
    return 100 + min(found) if found else None


def is_system_name(name: str) -> bool:
    """Return whether a column is named after a system, so that it is never the right answer."""
    return any(
        word in SYSTEMS or re.split(r"\d", word)[0] in SYSTEMS or word.startswith(_SYSTEM_STEMS)
        for word in words_of(name)
    )


def has_letter(value: Any) -> bool:
    """Return whether a value has a letter in its text."""
    return any(map(str.isalpha, str(value)))


def is_id(name: str, values: Sequence[Any]) -> bool:
    """Return whether a column identifies its rows: an id's name and unique one-word values."""
    return is_id_name(name) and _are_unique_words(values)


def is_id_name(name: str) -> bool:
    """Return whether a column is named like an id, as `TicketId`, `Nr.` or `case` are."""
    words = words_of(_NUMBER_SIGN.sub(" nr ", name))
    return words in _ALONE_IDS or any(one in _ID_NAMES or _is_compound(one) for one in words)


def is_key_name(name: str) -> bool:
    """Return whether a column may be a key of two files by name: an id, `order_key`, `index`."""
    return is_id_name(name) or bool(_KEY_WORDS & set(words_of(name)[-1:]))


def _is_compound(word: str) -> bool:
    return word.endswith("id") and word.removesuffix("id") in _BEFORE_ID_WORDS


def are_codes(values: Sequence[Any]) -> bool:
    """Return whether values look like ids of one shape (`q001`, `q002`), whatever the name is."""
    if len(values) < 3 or not _are_unique_words(values):
        return False
    texts = list(map(str, values))
    shapes = {re.sub(r"\d+", "0", text) for text in texts}
    if any(_is_number(text) or _DATE_OR_DECIMAL.fullmatch(text) for text in texts):  # a date, say
        return False
    return len(shapes) == 1 and all(map(_CODE_PATTERN.fullmatch, texts))


def _are_unique_words(values: Sequence[Any]) -> bool:
    plain = all(isinstance(one, str | int) and not isinstance(one, bool) for one in values)
    if len(values) < 2 or not plain:
        return False
    texts = list(map(str, values))
    whole = all(len(text) <= _LONGEST_ID and len(text.split()) == 1 for text in texts)
    return whole and len(set(texts)) == len(texts)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace(",", "").lstrip("-").isdigit()


def value_of(record: Mapping[str, Any], name: str) -> Any:
    """Return the value of a record's column or of its field `a.b`; None if it has none.

    `a.0` is the first item of a list `a`. None for what is not there.
    """
    if name in record or "." not in name:
        return record.get(name)
    value: Any = record
    for key in name.split("."):
        if isinstance(value, list):
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return value


def is_empty(value: Any) -> bool:
    """Return whether a value is none: null, or a text of spaces. 0 and false are values."""
    return value is None or (isinstance(value, str) and not value.strip())


def columns_of(sample: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of a table and the fields of its objects as `column.field`."""
    columns = list(dict.fromkeys(key for row in sample for key in row))
    return [*columns, *inner_columns(sample, OUR_FIELDS)]


def inner_columns(sample: Sequence[Mapping[str, Any]], left: set[str]) -> list[str]:
    """Return the fields of a table's objects as `column.field`, without the columns in `left`."""
    found: dict[str, None] = {}
    for row in sample:
        for key, value in row.items():
            if isinstance(value, Mapping) and key not in left:
                found.update((f"{key}.{inner}", None) for inner in value)
    return [*found]


def check_header(shown: str, sample: Sequence[Mapping[str, Any]]) -> None:
    """Raise DataError if the first line of a table is a row, not column names."""
    names = list(dict.fromkeys(key for row in sample for key in row))
    for name in names:
        values = Counter(str(row.get(name, "")).strip() for row in sample)
        repeated = values[name] > 1 and values[name] >= _NAME_REPEATED_SHARE * len(sample)
        if _DATE_OR_DECIMAL.fullmatch(name.strip()) or repeated:
            raise DataError(
                "the first line holds a row, not the names of the columns", where=f"{shown}:1",
                got=", ".join(names)[:180], kept="",
                fix="write the names above it, as `input,output`, or name the columns by what"
                " stands there: --input COL --output COL",
            )  # fmt: skip


# Words in the names of columns; of inputs and right answers an earlier one ranks higher.

INPUTS = (
    "input", "prompt", "question", "query", "text", "message", "utterance",
    "user_input", "request", "instruction", "content", "body", "ticket", "email",
    "comment", "review", "sentence", "document", "article", "description", "title",
    "subject", "customer", "problem", "source", "src", "user", "freitext", "volltext",
    "frage", "anfrage", "nachricht", "anliegen", "eingabe", "beschreibung", "betreff",
    "kommentar", "inhalt", "texto", "pregunta", "mensaje", "texte", "demande",
    "pergunta", "mensagem", "treść",
)  # fmt: skip
OUTPUTS = (
    "output", "label", "target", "answer", "gold", "expected", "ground_truth",
    "groundtruth", "correct", "reference", "completion", "response", "ideal",
    "category", "class", "intent", "topic", "sentiment", "team", "queue", "assigned",
    "assignee", "tag", "labels", "answers", "solution", "reply", "summary",
    "translation", "tgt", "human", "kategorie", "ergebnis", "klasse", "richtig",
    "lösung", "soll", "erwartet", "zugewiesen", "zuordnung", "thema", "abteilung",
    "absicht", "antwort", "respuesta", "categoria", "categoría", "etiqueta",
    "réponse", "catégorie", "correcta", "correcto", "correta", "correcte", "clase",
    "classe", "étiquette", "kategoria",
)  # fmt: skip
SYSTEMS = (
    "prediction", "predicted", "pred", "model", "generated", "generation", "bot",
    "llm", "ai", "assistant", "system", "current", "present", "production", "prod",
    "today", "baseline", "gpt", "claude", "llama", "mistral", "gemini", "qwen",
    "haiku", "sonnet", "opus", "deepseek", "phi", "tuned", "finetuned", "ft", "o1",
    "o3", "o4", "ocr", "ml", "chatgpt", "altsystem", "ki", "heute", "aktuell",
    "bisher", "modelo", "modèle", "robot",
)  # fmt: skip
TRUTHS = (
    "attendu", "correct", "correcta", "correcte", "correcto", "correta", "erwartet",
    "esperado", "expected", "gold", "groundtruth", "human", "ideal", "label",
    "labels", "reference", "richtig", "soll", "solution", "target", "truth",
)  # fmt: skip
PRESENT = (
    "aktuell", "altsystem", "current", "heute", "present", "prod", "production",
    "today",
)  # fmt: skip
_SYSTEM_STEMS = ("modell", "vorschlag", "suggest", "vorhersage", "vorherges", "predict", "voorspel")
"""Beginnings of words that name a system, as in `Modellantwort`."""


PART_NAMES = ("train", "test", "dev")
_PART_OF = {
    "train": "train", "training": "train", "trn": "train", "test": "test", "tst": "test",
    "testing": "test", "eval": "test", "evaluation": "test", "holdout": "test", "dev": "dev",
    "valid": "dev", "validation": "dev", "val": "dev",
}  # fmt: skip
_SEPARATORS = (";", "|", ",")
_LEAST_MARKED_SHARE = 0.05  # share of cells with a mark, from which it may separate labels
_LONGEST_LABEL = 60


def joined_input(record: Mapping[str, Any], columns: Sequence[str]) -> Any:
    """Return a record's input: one column's raw value, or lines `name: text`; None if empty."""
    if len(columns) == 1:
        return value_of(record, columns[0])
    found = [(name, value_of(record, name)) for name in columns]
    texts = [f"{name}: {as_text(value)}" for name, value in found if value not in (None, "")]
    return "\n".join(texts) or None


def label_list(value: Any, mark: str) -> Any:
    """Return a cell's labels, separated by `mark`, as a sorted list.

    Without a mark, a value is returned as it is, as is one that is no text.
    """
    if not mark or not isinstance(value, str):
        return value
    return sorted({label for part in value.split(mark) if (label := part.strip())})


def likely_mark(values: Sequence[Any]) -> str:
    """Return the mark that separates several labels of one cell, "" if each cell is one label.

    Each label must occur in two cells, and there must be fewer labels than distinct cells: else the
    mark, as a comma inside a name, separates nothing.
    """
    texts = [value for value in values if isinstance(value, str)]
    for mark in _SEPARATORS:
        several = [text for text in texts if mark in text.strip(f"{mark} ")]
        if len(several) < max(2, _LEAST_MARKED_SHARE * len(texts)):
            continue
        counts = Counter(label for text in texts for label in label_list(text, mark))
        whole = len(set(texts))
        short = all(len(label) <= _LONGEST_LABEL for label in counts)
        if short and len(counts) < whole and min(counts.values()) > 1:
            return mark
    return ""


def part_of(value: Any) -> str:
    """Return `train`, `test` or `dev` for the name of a split, "" for any other value."""
    return _PART_OF.get(str(value).strip().casefold(), "")


def has_parts(values: Sequence[Any]) -> bool:
    """Return whether a column names each row's split: `train`, and `test` or `dev`."""
    parts = {part_of(value) for value in values}
    return "train" in parts and len(parts) > 1 and "" not in parts


@dataclass(frozen=True)
class Choice:
    """Columns that the user named: input, right answer, the present system, other systems, id.

    `group` and `time` are the columns of those fields of a row. `joined` are further input columns,
    `split` the column that says train, test or dev, `mark` the separator of several labels in one
    cell. `no_system`: the user said that no system answered, so none is looked for.
    """

    input: str | None = None
    output: str | None = None
    present: str | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    lists: str = "alternatives"
    no_system: bool = False
    joined: tuple[str, ...] = ()
    split: str | None = None
    mark: str = ""
    id: str | None = None
    group: str | None = None
    time: str | None = None

    @property
    def names_any(self) -> bool:
        """Return whether any column is named."""
        return bool(self.columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the named columns."""
        found = (self.input, *self.joined, self.output, self.present, self.split, self.id,
                 self.group, self.time, *self.answers.values())  # fmt: skip
        return tuple(name for name in found if name)

    def in_file_spelling(self, columns: Sequence[str]) -> Choice:
        """Return the choice with each name in the spelling of the file's column (`column_like`)."""
        return self._with_names(lambda name: column_like(name, columns))

    def within(self, columns: Sequence[str]) -> Choice:
        """Return the choice without the columns that a file does not have."""
        return self._with_names(lambda name: name if name in columns else None)

    def _with_names(self, changed: Callable[[str], str | None]) -> Choice:
        """Return the choice with each name changed, without those that become None."""
        answers = {system: new for system, name in self.answers.items() if (new := changed(name))}
        joined = tuple(new for name in self.joined if (new := changed(name)))
        plain = ("input", "output", "present", "split", "id", "group", "time")
        own: dict[str, Any] = {key: changed(name) for key in plain
                               if (name := getattr(self, key))}  # fmt: skip
        return replace(self, answers=answers, joined=joined, **own)


@overload
def column_like(name: str, columns: Sequence[str]) -> str:
    """Return the column that a name means."""
    ...


@overload
def column_like(name: str | None, columns: Sequence[str]) -> str | None:
    """Return the column that a name means, None for None."""
    ...


def column_like(name: str | None, columns: Sequence[str]) -> str | None:
    """Return the column of this name; else the only one that differs in case and spaces alone.

    A name that no column has, or more than one could, is returned as it is.
    """
    if name is None or name in columns:
        return name
    like = [each for each in columns if _folded(each) == _folded(name)]
    return like[0] if len(like) == 1 else name


def _folded(name: str) -> str:
    return " ".join(name.casefold().split())


def raise_no_column(name: str, columns: Sequence[str], where: str = "", more: str = "") -> NoReturn:
    """Raise TaskError for a name that no column has, with the nearest name, all names, `more`."""
    folded = _folded(name)
    near = difflib.get_close_matches(name, columns, n=1, cutoff=0.6)
    near = near or [each for each in columns if folded and folded in _folded(each)]
    hint = f"did you mean `{near[0]}`? " if near else ""
    raise TaskError("no column has this name", where=where, got=name, kept="",
                    fix=f"{hint}there are: {', '.join(columns) or 'none'}{more}")  # fmt: skip
