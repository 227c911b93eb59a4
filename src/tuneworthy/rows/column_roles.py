"""Recognise the columns of a table: input, right answer, answers of systems.

Names and values decide. A column gets a role only if one of them supports it; a column that the
user named (`Choice`) always wins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NoReturn

from tuneworthy.records.errors import DataError
from tuneworthy.rows.dependence import dependent_columns
from tuneworthy.rows.rows import as_text
from tuneworthy.rows.table_columns import (
    INPUTS,
    OUR_FIELDS,
    OUTPUTS,
    PRESENT,
    TRUTHS,
    Choice,
    are_codes,
    columns_of,
    has_letter,
    inner_columns,
    is_empty,
    is_id,
    is_system_name,
    joined_input,
    label_list,
    name_rank,
    raise_no_column,
    system_name,
    value_of,
    words_of,
)

_NOT_TEXT = re.compile(r"(^|_)(id|uuid|date|time|timestamp|created|updated|score|cost|usd|latency|"
                       r"seconds|tokens|confidence|url|index|idx|split)(_|$)")  # fmt: skip
_MOST_LABELS = 300  # distinct answers up to which two columns are compared as labels
_MOSTLY_EQUAL_SHARE = 0.5  # share of equal rows, from which either column may be right answers
_TEXT_WORDS = 3  # mean words of a cell, from which a column holds text whatever its name is
_ALIKE_SHARE = 0.3  # share of equal rows, from which one column may be a system's answers


@dataclass(frozen=True)
class Roles:
    """The roles of a table's columns. `systems` maps the name of a system to its column.

    `output` is "" where another file has the right answers. `alternatives`: the right answers are
    lists, any of which is right. `id` is the column of the rows' own ids, if it has another name.
    `undecided` are two columns that mostly agree, the likelier right answer first, where nothing
    settles which of them is right. `joined` are further columns of the input, `texts` text columns
    without a role; `split` says train, test or dev, `mark` separates several labels of a cell.
    `own` maps `group` and `time` to the columns named for them, `likely` to those that may be.
    """

    input: str
    output: str
    systems: Mapping[str, str]
    plain: tuple[str, ...] = ()
    alternatives: bool = False
    id: str = ""
    undecided: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    split: str = ""
    mark: str = ""
    own: Mapping[str, str] = field(default_factory=dict)
    likely: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Return the columns of the input."""
        return (self.input, *self.joined)

    @cached_property
    def used(self) -> frozenset[str]:
        """Return the columns that have a role."""
        names = (*self.inputs, self.output, self.id, self.split, *self.systems.values())
        return frozenset({*names, *self.plain, *self.own.values()})


def propose_roles(
    sample: Sequence[Mapping[str, Any]], choice: Choice, elsewhere: bool = False
) -> Roles | str:
    """Return the columns' roles, or as a text the role that no column fits: "input" or "output".

    `elsewhere`: another file has the right answers; the answers of this one are a system's. Raises
    TaskError for a column that was named and is not there.
    """
    columns = list(dict.fromkeys(key for row in sample for key in row))
    inner = inner_columns(sample, OUR_FIELDS)
    choice = choice.in_file_spelling([*columns, *inner])
    for name in choice.columns:
        if name not in columns and name not in inner:
            raise_no_column(name, [*columns, *inner])
    named = [name for name in choice.columns if name not in columns]
    found = _proposed_roles(sample, [*columns, *named], choice, elsewhere)
    if isinstance(found, str) and inner:  # fields of objects, where no column does
        found = _proposed_roles(sample, [*columns, *inner], choice, elsewhere)
    if isinstance(found, Roles) and (choice.id or "id" not in columns):
        found = replace(found, id=choice.id or _id_column(sample, columns, found))
    if isinstance(found, Roles):
        free = [name for name in columns if name not in found.used]
        likely = dependent_columns(sample, free, found.inputs, found.output)
        has = {*found.own, *found.plain}
        found = replace(found, likely={key: likely[key] for key in likely if key not in has})
    return found


def _proposed_roles(
    sample: Sequence[Mapping[str, Any]], columns: Sequence[str], choice: Choice, elsewhere: bool
) -> Roles | str:
    free = [name for name in columns if name not in choice.columns and name not in OUR_FIELDS]
    texts = _filled(sample, columns)
    asked = choice.input or _best_column(free, INPUTS, texts, long=True)
    if asked is None:
        return "input"
    free = [name for name in free if name != asked and _can_hold_answers(name, texts[name])]
    right = choice.output or _right_answer_column(free, texts)
    systems = dict(choice.answers)
    either: tuple[str, ...] = ()
    if choice.present:
        systems = {"present": choice.present, **systems}
    if right is None and not (elsewhere and systems):
        return "output"
    if elsewhere:
        systems = systems or {"present": str(right)}
        right = ""
    elif not systems and not choice.no_system:
        if choice.output is None:
            either = _unsettled_columns(str(right), free, sample)
        systems = _system_columns([name for name in free if name != right], str(right), sample)
    alternatives = choice.lists == "alternatives" and _are_alternatives(texts.get(str(right), ()))
    plain = tuple(name for name in columns if name in OUR_FIELDS and name not in {asked, right})
    named = {"group": choice.group, "time": choice.time}
    found = Roles(asked, str(right), systems, plain, alternatives and not choice.mark, "", either,
                  choice.joined, (), choice.split or "", choice.mark,
                  {key: name for key, name in named.items() if name})  # fmt: skip
    return replace(found, texts=tuple(_unused_text_columns(texts, found)))


def _filled(sample: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values of each column, without empty ones."""
    values = {name: [value_of(row, name) for row in sample] for name in columns}
    return {name: [one for one in found if one not in (None, "")] for name, found in values.items()}


def _unused_text_columns(texts: Mapping[str, Sequence[Any]], roles: Roles) -> Iterator[str]:
    """Yield text columns without a role: named like an input, or with several words a cell."""
    for name, values in texts.items():
        if (
            name in roles.used
            or is_system_name(name)
            or not _can_hold_answers(name, values)
            or _are_labels(values)
        ):
            continue
        plain = all(isinstance(value, str) for value in values)
        words = sum(len(str(value).split()) for value in values) / len(values)
        letters = any(map(has_letter, values))
        if plain and letters and (name_rank(name, INPUTS) is not None or words >= _TEXT_WORDS):
            yield name


def _id_column(sample: Sequence[Mapping[str, Any]], columns: Sequence[str], roles: Roles) -> str:
    """Return the column with a unique id in every row, "" if there is none."""
    free = {name: [row.get(name) for row in sample] for name in columns if name not in roles.used}
    whole = {name: values for name, values in free.items() if None not in values}
    called = (name for name, values in whole.items() if is_id(name, values))
    coded = (name for name, values in whole.items() if are_codes(values)
             and all(map(has_letter, values)))  # fmt: skip
    return next(called, next(coded, ""))


def refuse_undecided(roles: Roles, where: str, fix: str) -> NoReturn:
    """Raise DataError: two columns mostly agree, and the user must say which is right."""
    raise DataError("two columns mostly agree, and either may be the right answer", where=where,
                    got=", ".join(roles.undecided), fix=fix, kept="")  # fmt: skip


def suggest_options(sample: Sequence[Mapping[str, Any]], choice: Choice) -> dict[str, str]:
    """Return {option: column} for a table that `propose_roles` can't read, by the values alone.

    The longest texts are the input; two columns of few values that mostly agree are the right
    answer and a system's: only the user knows which is which. "COL" stands for an unknown column.
    """
    columns = [name for name in columns_of(sample) if name not in choice.columns]
    texts = _filled(sample, columns)
    columns = [name for name in columns if texts[name]]
    able = [name for name in columns if any(map(has_letter, texts[name]))
            and not _NOT_TEXT.search("_".join(words_of(name)))]  # fmt: skip
    by_name = choice.input or _best_column(columns, INPUTS, texts, long=True)
    asked = by_name or _longest_text_column(able, texts)
    few = [name for name in columns if name != asked and _can_hold_answers(name, texts[name])
           and _are_labels(texts[name])]  # fmt: skip
    pairs = {(one, other): _agreement(one, other, sample)
             for at, one in enumerate(few) for other in few[at + 1 :]}  # fmt: skip
    best = max(pairs, key=lambda pair: pairs[pair], default=None)
    found = {"input": asked or "COL"}
    if choice.output or choice.present:
        present = {"present": choice.present} if choice.present else {}
        return {**found, "output": choice.output or "COL", **present}
    if best is not None and pairs[best] >= _ALIKE_SHARE:
        one, other = best
        gaps = _has_gaps(one, other, sample) and not _has_gaps(other, one, sample)
        swapped = is_system_name(one) or (gaps and not is_system_name(other))
        return {**found, "output": other if swapped else one, "present": one if swapped else other}
    return {**found, "output": few[0] if len(few) == 1 else "COL"}


def _longest_text_column(columns: Sequence[str], texts: Mapping[str, Sequence[Any]]) -> str | None:
    """Return the column of the longest texts on average; None if there is none."""
    lengths = {name: sum(map(len, texts[name])) / len(texts[name]) for name in columns
               if texts[name] and all(isinstance(one, str) for one in texts[name])}  # fmt: skip
    return max(lengths, key=lambda name: lengths[name], default=None)


def _unsettled_columns(
    right: str, free: Sequence[str], sample: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return two columns either of which may be the right answer, () if `right` clearly is.

    Every row has a right answer, so a column that is empty where another is filled may be a
    system's. A name such as `gold` or `expected` settles it.
    """
    mine = set(TRUTHS) & set(words_of(right))
    for name in free:
        if name == right or is_system_name(name):
            continue
        if _agreement(name, right, sample) < _MOSTLY_EQUAL_SHARE:
            continue
        ranks = [name_rank(one, OUTPUTS) for one in (right, name)]
        truer = bool(set(TRUTHS) & set(words_of(name))) and not mine
        gaps = _has_gaps(right, name, sample) and not _has_gaps(name, right, sample)
        alike = ranks[0] is None or (ranks[0] >= 100 and ranks[1] is not None)
        if not mine and (gaps or alike or truer):
            return (name, right) if gaps or truer else (right, name)
    return ()


def _has_gaps(name: str, other: str, sample: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a column is empty in a row where another is not."""
    return any(value_of(row, name) in (None, "") and value_of(row, other) not in (None, "")
               for row in sample)  # fmt: skip


def _can_hold_answers(name: str, values: Sequence[Any]) -> bool:
    """Return whether a column can hold answers: no id, date, score or cost by its name."""
    return bool(values) and not (_NOT_TEXT.search("_".join(words_of(name))) or is_id(name, values))


def _best_column(
    free: Sequence[str], known: Sequence[str], texts: Mapping[str, Sequence[Any]], *, long: bool
) -> str | None:
    """Return the column whose name ranks first, else (`long`) the longest varied texts; or None."""
    able = [name for name in free if _can_hold_answers(name, texts[name])]
    ranked = [(rank, name) for name in able if (rank := name_rank(name, known)) is not None
              and not is_system_name(name)]  # fmt: skip
    if ranked:
        return min(ranked, key=lambda pair: pair[0])[1]
    if not long:
        return None
    varied = [name for name in able if not is_system_name(name) and _are_varied(texts[name])
              and name_rank(name, OUTPUTS) is None]  # fmt: skip
    return _longest_text_column(varied, texts)


def _are_varied(values: Sequence[Any]) -> bool:
    """Return whether most texts are distinct and have letters, as inputs do."""
    letters = sum(map(has_letter, values[:50]))
    varied = len(set(map(str, values))) > 0.5 * len(values)
    return varied and letters > len(values[:50]) / 2


def _right_answer_column(free: Sequence[str], texts: Mapping[str, Sequence[Any]]) -> str | None:
    """Return the column of right answers: by name, else the only one of few values; or None."""
    if by_name := _best_column(free, OUTPUTS, texts, long=False):
        return by_name
    others = [name for name in free
              if not is_system_name(name) and not are_codes(texts[name])]  # fmt: skip
    few = [name for name in others if _are_labels(texts[name])]
    if len(few) == 1 or len(others) != 1:
        return few[0] if len(few) == 1 else None
    constant = len(texts[others[0]]) > 1 and len(set(map(as_text, texts[others[0]]))) == 1
    return None if constant else others[0]


def _are_labels(values: Sequence[Any]) -> bool:
    counts = Counter(map(as_text, values))
    return 1 < len(counts) <= max(2, len(values) / 2) and max(map(len, counts)) <= 80


def _system_columns(
    free: Sequence[str], right: str, sample: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Return {system: column} of the columns that look like answers, by name or by values."""
    found = [name for name in free if _is_like_system(name, right, sample)]
    if len(found) == 1:
        return {"present": found[0]}
    named: dict[str, str] = {}
    for column in found:
        words = set(words_of(column))
        name = "present" if words & set(PRESENT) and "present" not in named else system_name(column)
        named[name if name not in named else f"{name}-{len(named) + 1}"] = column
    return named


def _is_like_system(name: str, right: str, sample: Sequence[Mapping[str, Any]]) -> bool:
    pairs = _value_pairs(name, right, sample)
    equal = sum(one == other for one, other in pairs) / max(len(pairs), 1)
    golds, said = {gold for _, gold in pairs}, {one for one, _ in pairs}
    if is_system_name(name):
        # The name of a model or its prompt says which system ran, not what it said.
        kinds = len(said) == 1 or _are_labels([gold for _, gold in pairs])
        about = len(pairs) > 1 and kinds and not said & golds
        if about and _share_with_right_answer(name, right, sample) < _ALIKE_SHARE:
            return False
        return bool(pairs) and (equal < 1 or len(pairs) < 20)
    shared = len(golds) > _MOST_LABELS or len(said & golds) >= 0.8 * len(said)
    return _ALIKE_SHARE <= equal < 1 and shared


def _share_with_right_answer(name: str, right: str, sample: Sequence[Mapping[str, Any]]) -> float:
    """Return the share of rows in which the text of a column contains a right answer."""
    listed = [_accepted_answers(value_of(row, right)) for row in sample]
    golds = [one if isinstance(one, list) else [one] for one in listed]
    texts = [_folded(value_of(row, name) or "") for row in sample]
    return sum(any(_folded(one) in text for one in gold)
               for text, gold in zip(texts, golds, strict=True)) / len(sample)  # fmt: skip


def _value_pairs(
    name: str, other: str, sample: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Return the values of two columns in the rows that have both, case and spaces folded."""
    both = ((value_of(row, name), value_of(row, other)) for row in sample)
    return [(_folded(one), _folded(two)) for one, two in both
            if one not in (None, "") and two not in (None, "")]  # fmt: skip


def _agreement(name: str, other: str, sample: Sequence[Mapping[str, Any]]) -> float:
    """Return the share of rows in which two columns agree; 0 where one copies the other."""
    pairs = _value_pairs(name, other, sample)
    equal = sum(one == two for one, two in pairs)
    return equal / len(pairs) if equal < len(pairs) else 0.0


def _folded(value: Any) -> str:
    return " ".join(as_text(value).casefold().split()).removesuffix(".0")


def row_of(record: Mapping[str, Any], roles: Roles) -> dict[str, Any]:
    """Return the fields of a row; the columns without a role go to `meta`."""
    asked = joined_input(record, roles.inputs)
    right = label_list(value_of(record, roles.output), roles.mark)
    fields: dict[str, Any] = {name: record[name] for name in roles.plain if name in record}
    for name, column in {"id": roles.id, **roles.own}.items():
        if column and (value := value_of(record, column)) is not None:
            fields[name] = value if name == "id" else as_text(value)
    fields["input"] = None if asked is None else as_text(asked)
    fields["output"] = right
    listed = _accepted_answers(right)
    if roles.alternatives and isinstance(listed, list):
        texts = list(dict.fromkeys(as_text(one) for one in listed if one not in (None, "")))
        fields["output"] = texts[0] if texts else None
        if texts[1:]:
            fields["accepted"] = texts[1:]
    if rest := {key: value for key, value in record.items() if key not in roles.used}:
        fields["meta"] = {**(fields.get("meta") or {}), **rest}
    return fields


def _accepted_answers(value: Any) -> Any:
    """Return the list of answers in a right answer: SQuAD has them under `text`."""
    return value.get("text", value) if isinstance(value, dict) else value


def _are_alternatives(values: Sequence[Any]) -> bool:
    """Return whether right answers are lists of plain values; an empty one is itself an answer."""
    lists = [found for value in values if isinstance(found := _accepted_answers(value), list)]
    plain = all(found and all(isinstance(one, str | int | float) for one in found)
                for found in lists)  # fmt: skip
    return plain and len(lists) > len(values) / 2


def answers_of(record: Mapping[str, Any], roles: Roles, cells: bool) -> dict[str, dict[str, Any]]:
    """Return {system: its answer} of a row; an empty answer is null, and counts as a failed one.

    `cells`: the row is a table's, which lacks the columns of its empty cells.
    """
    found = {name: value_of(record, column) for name, column in roles.systems.items()
             if cells or column.partition(".")[0] in record}  # fmt: skip
    return {name: {"answer": None if is_empty(said) else label_list(said, roles.mark)}
            for name, said in found.items()}  # fmt: skip
