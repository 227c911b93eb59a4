"""The facts of a run's rows, from their texts and from the token ids its trainer made of them."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean
from typing import Any

from tuneworthy.data.copies import normalised_text
from tuneworthy.data.training_rows import TrainingRow, TrainingRows
from tuneworthy.lab.facts import NEAR_COPY, SMOOTHING_ROWS, shape_of
from tuneworthy.lab.own_labels import MOST_ROWS, contradicted_rows, labels_of
from tuneworthy.lab.own_tokenizer import FolderTokenizer
from tuneworthy.lab.own_trainer import OwnTrainer
from tuneworthy.models.local.chat_template import text_ids
from tuneworthy.training.render import Excluded, render

MOST_ENCODED = 2_000  # rows that are turned into tokens
# Answers have a form if so few shapes cover so large a share of them.
MOST_SHAPES, SHAPED_SHARE = 4, 0.8
Pair = tuple[str, str]
COMMON_ROWS = 3  # rows with the same answer, from which it counts as common


@dataclass(frozen=True)
class OwnTokens:
    """A row as tokens: all of them, those of its answers, and its last id (None: no end)."""

    row: TrainingRow
    length: int
    answers: int | None
    end: int | None


@dataclass
class Measured:
    """Facts by name, why others are missing, what was assumed, and the rows a fact concerns."""

    facts: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)
    rows: dict[str, list[str]] = field(default_factory=dict)


def of_texts(train: TrainingRows, test: TrainingRows | None) -> Measured:
    """Return the facts of the rows' texts: forms of answers, copies of test rows, priors."""
    found = Measured()
    rows = [row for row in train.rows if not row.plain]
    if not rows:
        why = "the rows are plain texts, in which no answer is marked"
        found.missing |= dict.fromkeys(("shapes", "prior", "conflicts"), why)
    else:
        _shapes(rows, found)
        _labels(rows, found)
    if test is None:
        why = "no test rows are given (--test FILE)"
        found.missing["leaked"] = why
        found.missing.setdefault("prior", why)
        return found
    copies = near_copies([_asked(row) for row in test.rows], [_asked(row) for row in train.rows])
    found.facts["leaked"] = len(copies) / len(test.rows)
    found.rows["leaked"] = [f"{test.rows[a].where} = {train.rows[b].where}"
                            for a, b in copies.items()]  # fmt: skip
    new = [row.answer.strip() for row in test.rows if not row.plain]
    if rows and new:
        _prior([row.answer.strip() for row in rows], new, found)
    return found


def of_packing(trainer: OwnTrainer) -> Measured:
    """Return that no row can read another one, where packing is known to be off."""
    if trainer.flag("packing") is False:
        return Measured(facts={"answer_seen": 0.0})
    why = "the folder does not say whether rows were packed (packing)"
    if trainer.flag("packing"):
        why = "rows were packed, in an order that the folder does not say"
    return Measured(missing={"answer_seen": why})


def encode_rows(train: TrainingRows, tokenizer: FolderTokenizer) -> tuple[list[OwnTokens], str]:
    """Return up to 2,000 rows as tokens, spread over the file, and why one could not be made."""
    every = train.rows
    step = max(1, math.ceil(len(every) / MOST_ENCODED))
    done: list[OwnTokens] = []
    why = ""
    for row in every[::step]:
        found = _tokens(row, tokenizer)
        if isinstance(found, str):
            why = why or f"{row.where}: {found}"
        else:
            done.append(found)
    return done, why


def of_tokens(
    rows: Sequence[OwnTokens], total: int, tokenizer: FolderTokenizer, trainer: OwnTrainer
) -> Measured:
    """Return the facts of the rows as tokens: cuts, trained ends, and the answers' share.

    They are of a sample of `total` rows, so counts of tokens are scaled up to all rows.
    """
    found = Measured()
    most = _limit(tokenizer, trainer, rows, found)
    cut = [most is not None and row.length > most for row in rows]
    if "cut_rows" not in found.missing:
        found.facts["cut_rows"] = fmean(cut)
        found.rows["cut_rows"] = [each.row.where for each, was in zip(rows, cut, strict=True)
                                  if was]  # fmt: skip
    _add_trained_ends(rows, cut, tokenizer, trainer, found)
    _add_answer_share(rows, trainer, found)
    answers = [row.answers for row in rows if row.answers is not None]
    if "answer_tokens" not in found.missing:
        found.facts["answer_tokens"] = round(fmean(answers) * total)
    return found


def without_free_text(found: Measured) -> Measured:
    """Return the facts without the answers' tokens where answers are free text.

    They are compared with the adapter's parameters, which must hold what has to be learnt by heart:
    codes, labels, fields. Of free text most is known to the base.
    """
    if "shapes" in found.missing and "answer_tokens" in found.facts:
        del found.facts["answer_tokens"]
        found.missing["answer_tokens"] = (
            "the answers are free text, of which the base knows an unknown part"
        )
    return found


def near_copies(new: Sequence[str], old: Sequence[str]) -> dict[int, int]:
    """Return {position in `new`: position in `old`} of texts that are nearly the same.

    Two texts are if they share 80 % of their pairs of neighbouring words (Jaccard). Of the rarest
    fifth of a text's pairs, a near copy must have at least one, so only those are looked up. Of
    `old`, only the pairs that stand in `new` are kept, so that the memory is that of `new`.
    """
    asked = [_pairs(text) for text in new]
    known = frozenset[Pair]().union(*asked)
    exact = {normalised_text(text): -1 for text in new}
    index: defaultdict[Pair, list[int]] = defaultdict(list)
    sizes = []
    for k, text in enumerate(old):
        if exact.get(normalised_text(text)) == -1:
            exact[normalised_text(text)] = k
        pairs = _pairs(text)
        sizes.append(len(pairs))
        for pair in pairs & known:
            index[pair].append(k)
    found: dict[int, int] = {}
    for k, text in enumerate(new):
        same = exact[normalised_text(text)]
        match = same if same >= 0 else _near(asked[k], index, sizes)
        if match is not None:
            found[k] = match
    return found


def _near(mine: set[Pair], index: Mapping[Pair, list[int]], sizes: Sequence[int]) -> int | None:
    """Return the first text that shares enough pairs with `mine`, None if none does."""
    rare = sorted(mine, key=lambda pair: (len(index.get(pair, ())), pair))
    rare = rare[: len(mine) - math.ceil(NEAR_COPY * len(mine)) + 1]
    candidates = {other for pair in rare for other in index.get(pair, ())}
    shared = Counter(other for pair in mine for other in index.get(pair, ()) if other in candidates)
    for other in sorted(candidates):
        if shared[other] >= NEAR_COPY * (len(mine) + sizes[other] - shared[other]):
            return other
    return None


def _tokens(row: TrainingRow, tokenizer: FolderTokenizer) -> OwnTokens | str:
    if row.plain:
        ids = tokenizer(row.answer)["input_ids"]
        return OwnTokens(row, len(ids), None, _end_of_text(row.answer, tokenizer))
    if tokenizer.chat_template is None or row.form == "prompt and completion":
        if row.chat:
            return "the tokenizer has no chat template"
        end = tokenizer.convert_tokens_to_ids(tokenizer.eos_token or "")
        prompt = text_ids(tokenizer, "\n".join(m.content for m in row.messages))
        answer = text_ids(tokenizer, row.answer)
        return OwnTokens(row, len(prompt) + len(answer) + 1, len(answer) + 1, end)
    done = render(tokenizer, row.messages, row.answer)
    if isinstance(done, Excluded):
        return done.reason
    earlier = sum(
        len(text_ids(tokenizer, m.content)) + 1 for m in row.messages if m.role == "assistant"
    )
    return OwnTokens(row, len(done.ids), done.trained + earlier, done.ids[-1])


def _end_of_text(text: str, tokenizer: FolderTokenizer) -> int | None:
    """Return the id of the special token that ends a text, None if it ends in none."""
    bare = text.rstrip()
    ends = [(number, token.content) for number, token in tokenizer.added_tokens_decoder.items()]
    return next((number for number, token in ends if token and bare.endswith(token)), None)


def _limit(
    tokenizer: FolderTokenizer, trainer: OwnTrainer, rows: Sequence[OwnTokens], found: Measured
) -> int | None:
    """Return the most tokens of a row, None if there is no limit; note it if it is not known."""
    if trainer.flag("packing"):
        found.missing["cut_rows"] = "rows are packed, so none is cut at max_length by itself"
        return None
    if "max_length" in trainer.settings:
        most = trainer.number("max_length")
        return int(most) if most else None
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
    rows: Sequence[OwnTokens],
    cut: Sequence[bool],
    tokenizer: FolderTokenizer,
    trainer: OwnTrainer,
    found: Measured,
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


def _add_answer_share(rows: Sequence[OwnTokens], trainer: OwnTrainer, found: Measured) -> None:
    answers = [row.answers for row in rows if row.answers is not None]
    if len(answers) < len(rows):
        why = "the rows are plain texts, in which no answer is marked"
        found.missing |= dict.fromkeys(("answer_share", "answer_tokens"), why)
        return
    only = trainer.flag("completion_only_loss") or trainer.flag("assistant_only_loss")
    if trainer.flag("train_on_inputs") is False:
        only = True
    if only is None and trainer.name == "TRL":  # its default: the completion where there is one
        only = all(row.row.form.startswith("prompt and completion") for row in rows)
        found.assumed.append("the loss covers what TRL's default covers: "
                             + ("the completions" if only else "whole rows"))  # fmt: skip
    if only is None and trainer.name == "tuneworthy":
        only = True
    if only is None and trainer.flag("train_on_inputs") is None:
        found.missing["answer_share"] = (
            "the folder does not say which tokens have a loss (completion_only_loss,"
            " assistant_only_loss)"
        )
        return
    whole = sum(row.length for row in rows)
    found.facts["answer_share"] = 1.0 if only else sum(answers) / whole


def _shapes(rows: Sequence[TrainingRow], found: Measured) -> None:
    """Add the share of answers outside the commonest shape, if answers have shapes at all."""
    shapes = [re.sub(r"a(?:[ _/-]a)+", "a", shape_of(row.answer)) for row in rows]
    counts = Counter(shapes).most_common(MOST_SHAPES)
    if sum(count for _, count in counts) < SHAPED_SHARE * len(shapes):
        found.missing["shapes"] = "the answers are free text, which has no common form"
        return
    found.facts["shapes"] = 1 - counts[0][1] / len(shapes)
    found.rows["shapes"] = [
        row.where for row, shape in zip(rows, shapes, strict=True) if shape != counts[0][0]
    ]


def _labels(rows: Sequence[TrainingRow], found: Measured) -> None:
    """Add the share of labels that similar rows contradict, if the answers are closed labels."""
    labels = labels_of(rows)
    if labels is None:
        found.missing["conflicts"] = "the answers are no closed labels"
        return
    compared = rows[:MOST_ROWS]
    found.rows["conflicts"] = contradicted_rows(compared, labels)
    found.facts["conflicts"] = len(found.rows["conflicts"]) / len(compared)


def _prior(train: Sequence[str], new: Sequence[str], found: Measured) -> None:
    answer, count = Counter(train).most_common(1)[0]
    if count < COMMON_ROWS:
        found.missing["prior"] = "no answer stands in three training rows"
        return
    live = sum(text == answer for text in new)
    found.facts["prior"] = (count / len(train)) / ((live + SMOOTHING_ROWS) / len(new))


def _asked(row: TrainingRow) -> str:
    return row.answer if row.plain else row.input


def _pairs(text: str) -> set[Pair]:
    return set(pairwise(re.findall(r"\w+", text.lower())))


def merged(*parts: Measured) -> Measured:
    """Return several measurements as one."""
    whole = Measured()
    for part in parts:
        whole.facts |= part.facts
        whole.missing |= part.missing
        whole.assumed += [text for text in part.assumed if text not in whole.assumed]
        whole.rows |= part.rows
    return whole


def without_data(why: str) -> Measured:
    """Return that nothing about rows was measured."""
    names = ("end_trained", "cut_rows", "answer_share", "answer_tokens", "shapes", "leaked",
             "prior", "conflicts")  # fmt: skip
    missing: Mapping[str, str] = dict.fromkeys(names, why)
    return Measured(missing=dict(missing))
