"""Compute the facts of a run from its rows, steps, looks and answers. Knows no failure mode."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median
from typing import Any

from tuneworthy.explain.label_errors import label_doubts
from tuneworthy.lab.encode import EncodedRow
from tuneworthy.records.case import Case
from tuneworthy.records.failure import LabRow, LabRows
from tuneworthy.records.task import Task
from tuneworthy.rows.copies import normalised_text

_COPIED_WORDS = 8  # words in a row that count as a copy
OUTLIER_FACTOR = 3.0  # a row's loss over so many times the median makes it an outlier
# Rows added to an answer's count among the new rows, since few rows prove nothing.
SMOOTHING_ROWS = 3
_NEAR_COPY_SHARE = (
    0.8  # Jaccard similarity of word pairs from which two inputs count as near copies
)


def row_facts(rows: LabRows, encoded: Sequence[EncodedRow], tokenizer: Any) -> dict[str, Any]:
    """Return {fact: value} of the rows: loss masks, cuts, copies, shapes, the answers' prior."""
    ends = [tokenizer.convert_ids_to_tokens(row.clean_row.ids[-1]) for row in encoded]
    trained = [row.used_row.ids[row.used_row.first :] for row in encoded]
    share = [len(ids) for ids in trained]
    asked, read = ([row.input for row in some] for some in (rows.new, rows.train))
    return {
        "answer_tokens": sum(len(row.used_row.ids) - row.used_row.first for row in encoded),
        "end_trained": fmean(
            bool(ids) and tokenizer.convert_ids_to_tokens(ids[-1]) == end
            for ids, end in zip(trained, ends, strict=True)
        ),
        "cut_rows": fmean(row.cut for row in encoded),
        "answer_share": _answer_share(encoded, share),
        "leaked": len(near_copies(asked, read)) / len(rows.new),
        "answer_seen": fmean(map(_answer_seen, encoded)),
        "shapes": _other_shapes(rows.train),
        "prior": _prior_ratio(rows),
    }


def step_facts(steps: Sequence[dict[str, Any]], last: Sequence[float]) -> dict[str, Any]:
    """Return {fact: value} of the training curve; `last`: each row's loss in the last epoch."""
    losses = [step["loss"] for step in steps]
    if not losses:
        return {"steps": 0}
    tail = losses[-max(1, len(losses) // 8) :]
    found = {
        "steps": len(losses),
        "loss_first": losses[0],
        "loss_last": fmean(tail),
        "loss_least": min(losses),
        "loss_peak": max(losses),
        "clip_rate": fmean(step["clipped"] for step in steps),
    }
    if last and (middle := median(last)) > 0:
        found["outliers"] = fmean(loss > OUTLIER_FACTOR * middle for loss in last)
    return found


def answer_facts(
    rows: LabRows, texts: Sequence[str], base: Sequence[str] | None
) -> dict[str, float | None]:
    """Return the shares of answers that copy a training answer, that equal the base's (or None)."""
    known = Counter(gram for row in rows.train for gram in set(_word_ngrams(row.output)))
    copied = [
        any(gram in known for gram in set(_word_ngrams(text)) - set(_word_ngrams(row.output)))
        for row, text in zip(rows.new, texts, strict=True)
    ]
    same = None if base is None else fmean(a == b for a, b in zip(texts, base, strict=True))
    return {"copied": fmean(copied), "same_as_base": same}


def conflict_share(task: Task, rows: Sequence[LabRow]) -> float | None:
    """Return the share of labels that similar rows contradict; None if labels are not closed."""
    if task.output.type != "label" or not rows:
        return None
    cases = [Case(id=row.id, messages=row.messages, output=row.output) for row in rows]
    return len({doubt.case for doubt in label_doubts(task, cases)}) / len(cases)


def near_copies(new: Sequence[str], old: Sequence[str]) -> dict[int, int]:
    """Return {position in `new`: position in `old`} of texts that are nearly the same.

    Near copies share 80 % of their pairs of neighbouring words (Jaccard). A near copy has at least
    one of the rarest fifth of a text's pairs, so only these are looked up. The index holds only
    pairs that occur in `new`, which bounds its memory.
    """
    asked = [_word_pairs(text) for text in new]
    known = frozenset[tuple[str, str]]().union(*asked)
    exact = {normalised_text(text): -1 for text in new}
    index: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    sizes = []
    for k, text in enumerate(old):
        if exact.get(normalised_text(text)) == -1:
            exact[normalised_text(text)] = k
        pairs = _word_pairs(text)
        sizes.append(len(pairs))
        for pair in pairs & known:
            index[pair].append(k)
    found: dict[int, int] = {}
    for k, text in enumerate(new):
        same = exact[normalised_text(text)]
        match = same if same >= 0 else _first_near_copy(asked[k], index, sizes)
        if match is not None:
            found[k] = match
    return found


def _first_near_copy(
    mine: set[tuple[str, str]], index: Mapping[tuple[str, str], list[int]], sizes: Sequence[int]
) -> int | None:
    """Return the position of the first text that is a near copy of `mine`, None if none is."""
    rare = sorted(mine, key=lambda pair: (len(index.get(pair, ())), pair))
    rare = rare[: len(mine) - math.ceil(_NEAR_COPY_SHARE * len(mine)) + 1]
    candidates = {other for pair in rare for other in index.get(pair, ())}
    shared = Counter(other for pair in mine for other in index.get(pair, ()) if other in candidates)
    for other in sorted(candidates):
        if shared[other] >= _NEAR_COPY_SHARE * (len(mine) + sizes[other] - shared[other]):
            return other
    return None


def shape_of(answer: str) -> str:
    """Return the shape of an answer: its keys in order if it is JSON, else its form line by line.

    Letters and underscores become `a`, digits `0`, and repeats are joined, so `12 May` and `3 June`
    have one shape.
    """
    try:
        value = json.loads(answer)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return "json " + " ".join(value)
    plain = re.sub(r"[^\W\d]+", "a", answer.strip())
    plain = re.sub(r"\d+", "0", plain)
    return re.sub(r"a(?: a)+", "a", plain)


def _word_pairs(text: str) -> set[tuple[str, str]]:
    return set(pairwise(re.findall(r"\w+", text.lower())))


def _answer_share(encoded: Sequence[EncodedRow], trained: Sequence[int]) -> float:
    """Return the share of the loss's weight that lies on answer tokens; 0 if nothing is trained."""
    answers = sum(
        0 if row.on_prompt else count for row, count in zip(encoded, trained, strict=True)
    )
    prompts = sum(row.prompt_weight * (row.used_row.first - 1) for row in encoded)
    whole = sum(trained) + prompts
    return answers / whole if whole else 0.0


def _answer_seen(row: EncodedRow) -> bool:
    """Return whether another row's tokens before this row hold its answer, end included."""
    before = row.used_row.ids[: max(0, row.used_row.first - row.clean_row.first)]
    answer = row.clean_row.ids[row.clean_row.first :]
    size = len(answer)
    return any(before[k : k + size] == answer for k in range(len(before) - size + 1))


def _word_ngrams(text: str) -> list[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return [tuple(words[k : k + _COPIED_WORDS]) for k in range(len(words) - _COPIED_WORDS + 1)]


def _other_shapes(rows: Sequence[LabRow]) -> float:
    """Return the share of answers outside the commonest shape under the same instruction."""
    shapes: dict[str, Counter[str]] = {}
    for row in rows:
        told = "\n".join(turn.content for turn in row.messages if turn.role == "system")
        shapes.setdefault(told, Counter())[shape_of(row.output)] += 1
    return 1 - sum(counts.most_common(1)[0][1] for counts in shapes.values()) / len(rows)


def _prior_ratio(rows: LabRows) -> float | None:
    """Return how many times commoner the top training answer is in training than in new rows.

    Its count in new rows is raised by SMOOTHING_ROWS: of 40 new rows, one or none may hold it by
    chance. None if fewer than three training rows have it.
    """
    answer, count = Counter(row.output for row in rows.train).most_common(1)[0]
    if count < 3:
        return None
    live = sum(row.output == answer for row in rows.new)
    return (count / len(rows.train)) / ((live + SMOOTHING_ROWS) / len(rows.new))
