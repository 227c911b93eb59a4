"""The facts of a user's training rows, from their texts and from their token ids."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from tuneworthy.explain.label_errors import label_doubts
from tuneworthy.lab.facts import SMOOTHING_ROWS, near_copies, shape_of
from tuneworthy.lab.own_adapter import FolderTokenizer
from tuneworthy.lab.own_trainer import OwnTrainer
from tuneworthy.models.local.chat_template import text_ids
from tuneworthy.models.train.training_data import Excluded, render
from tuneworthy.records.case import Case
from tuneworthy.records.task import Task
from tuneworthy.rows.training_rows import TrainingRow, TrainingRows

_MOST_ENCODED = 2_000  # the most rows that are turned into tokens
# Answers have common shapes if MOST_SHAPES shapes cover SHAPED_SHARE of them.
MOST_SHAPES, SHAPED_SHARE = 4, 0.8
_FREE_TEXT = "the answers are free text, which has no common form"
MOST_LABELS, LABEL_CHARACTERS, ROWS_PER_LABEL = 50, 60, 5
_MOST_COMPARED_ROWS = 5_000  # the most rows that are compared: the time grows with their square
_COMMON_ROWS = 3  # the least rows with the same answer for which its prior is measured


@dataclass(frozen=True)
class _OwnTokens:
    """A row's token counts: all, its answers' (None: none is marked); its end id or None."""

    row: TrainingRow
    length: int
    answers: int | None
    end: int | None

    def within(self, most: int) -> _OwnTokens:
        """Return the row cut after `most` tokens; the answer, at its end, loses the rest."""
        lost = max(0, self.length - most)
        answers = None if self.answers is None else max(0, self.answers - lost)
        return replace(self, length=self.length - lost, answers=answers)


@dataclass
class DatasetFacts:
    """Facts by name, why others are missing, assumptions, and the places of rows by fact."""

    facts: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)
    rows: dict[str, list[str]] = field(default_factory=dict)


def text_facts(train: TrainingRows, test: TrainingRows | None) -> DatasetFacts:
    """Return the facts of the rows' texts: shapes and labels of answers, copies, prior."""
    found = DatasetFacts()
    rows = [row for row in train.rows if not row.plain]
    if not rows:
        why = "the rows are plain texts, in which no answer is marked"
        found.missing |= dict.fromkeys(("shapes", "prior", "conflicts"), why)
    else:
        _add_shapes(rows, found)
        _add_label_conflicts(rows, found)
    if test is None:
        why = "no test rows are given (--test FILE)"
        found.missing["leaked"] = why
        found.missing.setdefault("prior", why)
        return found
    copies = near_copies(
        [_input_text(row) for row in test.rows], [_input_text(row) for row in train.rows]
    )
    found.facts["leaked"] = len(copies) / len(test.rows)
    found.rows["leaked"] = [f"{test.rows[a].where} = {train.rows[b].where}"
                            for a, b in copies.items()]  # fmt: skip
    new = [row.answer.strip() for row in test.rows if not row.plain]
    if rows and new:
        _add_prior([row.answer.strip() for row in rows], new, found)
    return found


def packing_facts(trainer: OwnTrainer) -> DatasetFacts:
    """Return the fact `answer_seen`: 0 if packing is known to be off, else why it is missing."""
    if trainer.flag("packing") is False:
        return DatasetFacts(facts={"answer_seen": 0.0})
    why = "the folder does not say whether rows were packed (packing)"
    if trainer.flag("packing"):
        why = "rows were packed, in an order that the folder does not say"
    return DatasetFacts(missing={"answer_seen": why})


def encode_rows(train: TrainingRows, tokenizer: FolderTokenizer) -> tuple[list[_OwnTokens], str]:
    """Return (up to 2,000 rows as tokens, why the first failed or "")."""
    every = train.rows
    step = max(1, math.ceil(len(every) / _MOST_ENCODED))
    done: list[_OwnTokens] = []
    why = ""
    for row in every[::step]:
        found = _row_tokens(row, tokenizer)
        if isinstance(found, str):
            why = why or f"{row.where}: {found}"
        else:
            done.append(found)
    return done, why


def token_facts(
    rows: Sequence[_OwnTokens], total: int, tokenizer: FolderTokenizer, trainer: OwnTrainer
) -> DatasetFacts:
    """Return the facts of the rows as tokens: cuts, trained ends, and the answers' share.

    `rows` are a sample of `total` rows, so token counts are scaled up to all rows.
    """
    found = DatasetFacts()
    most = _token_limit(tokenizer, trainer, rows, found)
    cut = [most is not None and row.length > most for row in rows]
    if "cut_rows" not in found.missing:
        found.facts["cut_rows"] = fmean(cut)
        found.rows["cut_rows"] = [each.row.where for each, was in zip(rows, cut, strict=True)
                                  if was]  # fmt: skip
    _add_trained_ends(rows, cut, tokenizer, trainer, found)
    kept = [row if most is None else row.within(most) for row in rows]
    _add_answer_share(kept, trainer, found)
    answers = [row.answers for row in rows if row.answers is not None]
    if "answer_tokens" not in found.missing:
        found.facts["answer_tokens"] = round(fmean(answers) * total)
    return found


def drop_free_text_tokens(found: DatasetFacts) -> DatasetFacts:
    """Remove `answer_tokens` if the answers are free text; return the same facts.

    A detector compares this count with the adapter's parameters, which must store what is learnt
    by heart: codes, labels, fields. Most of a free text is known to the base already.
    """
    if found.missing.get("shapes") == _FREE_TEXT and "answer_tokens" in found.facts:
        del found.facts["answer_tokens"]
        found.missing["answer_tokens"] = (
            "the answers are free text, of which the base knows an unknown part"
        )
    return found


def _row_tokens(row: TrainingRow, tokenizer: FolderTokenizer) -> _OwnTokens | str:
    if row.plain:
        ids = tokenizer(row.answer)["input_ids"]
        return _OwnTokens(row, len(ids), None, _end_of_text(row.answer, tokenizer))
    if tokenizer.chat_template is None or row.form == "prompt and completion":
        if row.chat:
            return "the tokenizer has no chat template"
        end = tokenizer.convert_tokens_to_ids(tokenizer.eos_token or "")
        prompt = text_ids(tokenizer, "\n".join(m.content for m in row.messages))
        answer = text_ids(tokenizer, row.answer)
        return _OwnTokens(row, len(prompt) + len(answer) + 1, len(answer) + 1, end)
    done = render(tokenizer, row.messages, row.answer)
    if isinstance(done, Excluded):
        return done.reason
    earlier = sum(
        len(text_ids(tokenizer, m.content)) + 1 for m in row.messages if m.role == "assistant"
    )
    return _OwnTokens(row, len(done.ids), done.trained + earlier, done.ids[-1])


def _end_of_text(text: str, tokenizer: FolderTokenizer) -> int | None:
    """Return the id of the special token at the end of a text, None if there is none."""
    bare = text.rstrip()
    ends = [(number, token.content) for number, token in tokenizer.added_tokens_decoder.items()]
    return next((number for number, token in ends if token and bare.endswith(token)), None)


def _token_limit(
    tokenizer: FolderTokenizer, trainer: OwnTrainer, rows: Sequence[_OwnTokens], found: DatasetFacts
) -> int | None:
    """Return the token limit of a row; None for no limit, or an unknown one (noted in `found`)."""
    if trainer.flag("packing"):
        found.missing["cut_rows"] = "rows are packed, so none is cut at max_length by itself"
        return None
    if trainer.settings.get("max_length", 0) is None or trainer.number("max_length") is not None:
        most = trainer.number("max_length")
        return int(most) if most and most > 0 else None
    if tokenizer.cut_at is not None:
        found.assumed.append(
            f"rows were cut at {tokenizer.cut_at:,} tokens, as {tokenizer.file} still says"
        )
        return tokenizer.cut_at
    longest = max(row.length for row in rows)
    found.missing["cut_rows"] = (
        f"max_length is not in the folder (the longest row has {longest:,} tokens)"
    )
    return None


def _add_trained_ends(
    rows: Sequence[_OwnTokens],
    cut: Sequence[bool],
    tokenizer: FolderTokenizer,
    trainer: OwnTrainer,
    found: DatasetFacts,
) -> None:
    named = trainer.settings.get("pad_token")
    pad_token = named if isinstance(named, str) else tokenizer.pad_token
    pad = tokenizer.convert_tokens_to_ids(pad_token) if pad_token else None
    ends = [row.end for row in rows]
    if trainer.adds_end:
        added = tokenizer.convert_tokens_to_ids(tokenizer.eos_token or "")
        ends = [added if end is None else end for end in ends]
    same = [pad is not None and end == pad for end in ends]
    if any(same) and trainer.masks_ids is None:
        found.missing["end_trained"] = (
            f"the padding token is the end of turn ({pad_token}), and {trainer.why}: before 0.16 it"
            " gets no loss"
        )
        return
    lost = [
        was or end is None or (equal and bool(trainer.masks_ids))
        for was, end, equal in zip(cut, ends, same, strict=True)
    ]
    found.facts["end_trained"] = 1 - fmean(lost)
    found.rows["end_trained"] = [
        each.row.where for each, was in zip(rows, lost, strict=True) if was
    ]
    if any(same):
        found.assumed.append(f"padding is {pad_token}, which also ends a turn; {trainer.why}")
    if any(end is None for end in ends):
        found.assumed.append("texts without an end of turn at their end were trained as they stand")


def _add_answer_share(rows: Sequence[_OwnTokens], trainer: OwnTrainer, found: DatasetFacts) -> None:
    answers = [row.answers for row in rows if row.answers is not None]
    if len(answers) < len(rows):
        why = "the rows are plain texts, in which no answer is marked"
        found.missing |= dict.fromkeys(("answer_share", "answer_tokens"), why)
        return
    only = _loss_on_answers(rows, trainer, found)
    if only is None:
        found.missing["answer_share"] = (
            "the folder does not say which tokens have a loss (completion_only_loss,"
            " assistant_only_loss; Unsloth's train_on_responses_only leaves no trace)"
        )
        return
    whole = sum(row.length for row in rows)
    found.facts["answer_share"] = 1.0 if only else sum(answers) / whole


def _loss_on_answers(
    rows: Sequence[_OwnTokens], trainer: OwnTrainer, found: DatasetFacts
) -> bool | None:
    """Return whether only answers have a loss, None if the folder does not show it."""
    flags = [trainer.flag(name) for name in ("completion_only_loss", "assistant_only_loss")]
    inputs = trainer.flag("train_on_inputs")
    if any(flags) or inputs is False or trainer.name == "tuneworthy":
        return True
    if trainer.name == "Unsloth":  # its train_on_responses_only is no option, so none shows it
        return None
    if inputs is None and trainer.name == "TRL" and flags[0] is None:
        only = all(row.row.form.startswith("prompt and completion") for row in rows)
        found.assumed.append("the loss covers what TRL's default covers: "
                             + ("the completions" if only else "whole rows"))  # fmt: skip
        return only
    return None if inputs is None and flags == [None, None] else False


def _add_shapes(rows: Sequence[TrainingRow], found: DatasetFacts) -> None:
    """Add `shapes`, the share of answers outside the commonest shape, or why it is missing."""
    shapes = [re.sub(r"a(?:[ _/-]a)+", "a", shape_of(row.answer)) for row in rows]
    counts = Counter(shapes).most_common(MOST_SHAPES)
    if sum(count for _, count in counts) < SHAPED_SHARE * len(shapes):
        found.missing["shapes"] = _FREE_TEXT
        return
    if len(counts) > 1 and _closed_labels(rows) is not None:
        found.missing["shapes"] = (
            "the answers are labels from a fixed list, which need not have one form"
        )
        return
    found.facts["shapes"] = 1 - counts[0][1] / len(shapes)
    found.rows["shapes"] = [
        row.where for row, shape in zip(rows, shapes, strict=True) if shape != counts[0][0]
    ]


def _add_label_conflicts(rows: Sequence[TrainingRow], found: DatasetFacts) -> None:
    """Add `conflicts`, the share of labels that similar rows contradict, or why it is missing."""
    labels = _closed_labels(rows)
    if labels is None:
        found.missing["conflicts"] = (
            "the answers are not labels from a fixed list, and only such are compared"
        )
        return
    compared = rows[:_MOST_COMPARED_ROWS]
    found.rows["conflicts"] = _contradicted_rows(compared, labels)
    found.facts["conflicts"] = len(found.rows["conflicts"]) / len(compared)


def _add_prior(train: Sequence[str], new: Sequence[str], found: DatasetFacts) -> None:
    answer, count = Counter(train).most_common(1)[0]
    if count < _COMMON_ROWS:
        found.missing["prior"] = "no answer stands in three training rows"
        return
    live = sum(text == answer for text in new)
    found.facts["prior"] = (count / len(train)) / ((live + SMOOTHING_ROWS) / len(new))


def _input_text(row: TrainingRow) -> str:
    return row.answer if row.plain else row.input


def merge_facts(*parts: DatasetFacts) -> DatasetFacts:
    """Return the facts of several parts as one; later parts win."""
    whole = DatasetFacts()
    for part in parts:
        whole.facts |= part.facts
        whole.missing |= part.missing
        whole.assumed += [text for text in part.assumed if text not in whole.assumed]
        whole.rows |= part.rows
    return whole


def facts_without_data(why: str) -> DatasetFacts:
    """Return facts of which every fact of rows is missing, for the reason `why`."""
    names = ("end_trained", "cut_rows", "answer_share", "answer_tokens", "shapes", "leaked",
             "prior", "conflicts")  # fmt: skip
    missing: Mapping[str, str] = dict.fromkeys(names, why)
    return DatasetFacts(missing=dict(missing))


def _closed_labels(rows: Sequence[TrainingRow]) -> list[str] | None:
    """Return the sorted labels if the answers are labels of a closed set, else None."""
    labels = {row.answer.strip() for row in rows}
    closed = len(labels) <= min(MOST_LABELS, len(rows) // ROWS_PER_LABEL)
    short = all(
        len(label) <= LABEL_CHARACTERS and "\n" not in label and label[:1] not in "{["
        for label in labels
    )
    return sorted(labels) if closed and short and len(labels) > 1 else None


def _contradicted_rows(rows: Sequence[TrainingRow], labels: Sequence[str]) -> list[str]:
    """Return the places (file:line) of rows whose label similar rows contradict."""
    content = {"instruction": "Which label?", "data": {"train": "rows.jsonl"},
               "output": {"type": "label", "labels": list(labels)}}  # fmt: skip
    task = Task.model_validate(content)
    cases = [
        Case(id=str(k), messages=row.messages, output=row.answer, where=row.where)
        for k, row in enumerate(rows[:_MOST_COMPARED_ROWS])
    ]
    doubted = {doubt.case for doubt in label_doubts(task, cases)}
    return [case.where for case in cases if case.id in doubted]
