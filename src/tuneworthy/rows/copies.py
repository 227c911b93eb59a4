"""Find copies and near copies of inputs, contradictions and leaks among them.

Texts are normalised; near copies are found by 5-character shingles and MinHash."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from math import ceil
from os.path import commonprefix

import numpy as np
from numpy.typing import NDArray

from tuneworthy.records.case import Case
from tuneworthy.records.record import canonical
from tuneworthy.records.task import CopyRule

# Jaccard similarity of 5-character shingles from which inputs are near-copies.
_NEAR_COPY_JACCARD = 0.8
_FREE_TEXT_FROM = 40  # characters from which answers are compared as inputs are
# Rows that edits of free text may link; where more are alike they follow a template, and one group
# of them all could not be split.
MOST_EDITED_COPIES = 20
# Words that so many inputs start or end with were put there; they are not the rows' own. A few rows
# without them change nothing. Fewer rows may agree by chance.
_SHARED, _FEWEST_TO_SHARE = 0.9, 10
_WINDOW, _BANDS, _ROWS_PER_BAND = 5, 25, 4  # at Jaccard .8 a pair is missed with chance 2e-6
_BATCH = 256
_SPACE = re.compile(r"\s+")
_PUNCTUATION = re.compile(r"(?![+*/=<>%$€£#@&])[^\w\s](?!\d)|_")
_HASH_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_ShingleHashes = NDArray[np.uint64]


def input_text(case: Case) -> str:
    """Return the text of a case's turns, one below the other, without the system prompt."""
    if len(case.messages) == 1:
        return case.messages[0].content
    return "\n".join(m.content for m in case.messages if m.role != "system")


def full_text(case: Case) -> str:
    """Return the text of all turns of a case, system prompt and roles included."""
    if len(case.messages) == 1:
        return case.messages[0].content
    return "\n".join(f"{m.role}: {m.content}" for m in case.messages)


def normalised_text(text: str) -> str:
    """Return text with case, spacing and Unicode form normalised."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def text_without_punctuation(text: str) -> str:
    """Return the normalised text without punctuation; signs of arithmetic and of numbers stay."""
    key = normalised_text(text)
    return _SPACE.sub(" ", _PUNCTUATION.sub(" ", key)).strip() or key


def own_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts without the words that almost all of them begin, then end with.

    These are the words that nine in ten different texts share, such as an instruction.
    """
    start = _shared_start(texts)
    cut = [text.removeprefix(start)[::-1] for text in texts]
    end = _shared_start(cut)
    return [text.removeprefix(end)[::-1] for text in cut]


def _shared_start(texts: Iterable[str]) -> str:
    ordered = sorted(set(texts))
    if len(ordered) < _FEWEST_TO_SHARE:
        return ""
    most = ceil(_SHARED * len(ordered)) - 1  # texts that share a start stand next to each other
    pairs = zip(ordered, ordered[most:], strict=False)
    shared = max((commonprefix(pair) for pair in pairs), key=len)  # noqa: RUF071  # no paths
    return shared[: shared.rfind(" ") + 1]


def shingles(text: str) -> _ShingleHashes:
    """Return the sorted hashes of the 5-character shingles of a text (one hash if shorter)."""
    return np.unique(_window_hashes(_code_points(text)))


def _code_points(text: str) -> NDArray[np.uint32]:
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return codes if codes.size >= _WINDOW else np.pad(codes, (0, _WINDOW - codes.size))


def _window_hashes(codes: NDArray[np.uint32]) -> _ShingleHashes:
    size = codes.size - _WINDOW + 1
    total = np.zeros(size, dtype=np.uint64)
    for shift in range(_WINDOW):
        total = (
            total + codes[shift : shift + size].astype(np.uint64) + np.uint64(1)
        ) * _HASH_MULTIPLIER
        total ^= total >> np.uint64(29)
    return total


def jaccard(a: _ShingleHashes, b: _ShingleHashes) -> float:
    """Return the Jaccard similarity of two shingle sets."""
    both = np.intersect1d(a, b, assume_unique=True).size
    return float(both / (a.size + b.size - both))


class UnionFind:
    """A union-find (disjoint-set) of items 0 .. size - 1."""

    def __init__(self, size: int) -> None:
        self.parent = list(range(size))
        self.sizes = [1] * size

    def find(self, item: int) -> int:
        """Return the representative of an item's group."""
        while self.parent[item] != item:
            self.parent[item] = self.parent[self.parent[item]]
            item = self.parent[item]
        return item

    def join(self, one: int, other: int) -> None:
        """Merge the groups of two items."""
        a, b = sorted((self.find(one), self.find(other)))
        if a != b:
            self.parent[b] = a
            self.sizes[a] += self.sizes[b]

    def joint_size(self, one: int, other: int) -> int:
        """Return the size of two items' groups together; the groups must differ."""
        return self.sizes[self.find(one)] + self.sizes[self.find(other)]


def near_copy_pairs(texts: Sequence[str], answers: Sequence[str]) -> list[tuple[int, int, float]]:
    """Return (row, row, Jaccard) of near copies with the same answer, enough to connect groups.

    Answers in free text are the same if they are near copies too, in at most 20 rows. Candidates
    come from MinHash bands (locality-sensitive hashing) of both; each is confirmed by its exact
    Jaccard similarity. In a band with many rows each row is compared with its neighbours only, so
    the time stays linear.
    """
    rows = _rows_with_comparable_answer(answers)
    if not rows:
        return []
    signs = _minhash_signatures([texts[row] for row in rows])
    answer_keys = _answer_keys([answers[row] for row in rows])
    shingled = lru_cache(maxsize=50_000)(shingles)
    similarity = lru_cache(maxsize=100_000)(partial(_similarity, shingled))
    groups, pairs = UnionFind(len(rows)), []
    for band in range(_BANDS):
        for a, b in _candidate_pairs(
            signs[:, band * _ROWS_PER_BAND : (band + 1) * _ROWS_PER_BAND], answer_keys[:, band]
        ):
            if groups.find(a) == groups.find(b):
                continue
            one, other = rows[a], rows[b]
            edited = answers[one] != answers[other]
            if edited and groups.joint_size(a, b) > MOST_EDITED_COPIES:
                continue
            share = similarity(texts[one], texts[other])
            if share >= _NEAR_COPY_JACCARD and (
                similarity(answers[one], answers[other]) >= _NEAR_COPY_JACCARD
            ):
                groups.join(a, b)
                pairs.append((one, other, share))
    return pairs


def _similarity(shingled: Callable[[str], _ShingleHashes], one: str, other: str) -> float:
    """Return the Jaccard similarity of two texts, 0 if their lengths show that they differ."""
    if one == other:
        return 1.0
    small, large = sorted((shingled(one).size, shingled(other).size))
    return jaccard(shingled(one), shingled(other)) if small >= _NEAR_COPY_JACCARD * large else 0.0


def _is_free_text(answer: str) -> bool:
    """Return whether an answer is long enough for a light edit not to make it another answer."""
    return len(answer) >= _FREE_TEXT_FROM and answer[0] not in "{["  # another JSON value is another


def _rows_with_comparable_answer(answers: Sequence[str]) -> list[int]:
    """Return the rows whose answer is free text or that of another row too."""
    count = Counter(answers)
    rows = [row for row, one in enumerate(answers) if count[one] > 1 or _is_free_text(one)]
    return rows if len(rows) > 1 else []


def _answer_keys(answers: Sequence[str]) -> NDArray[np.uint64]:
    """Return a key per answer and band, shape [answers, bands]; the same answers share one.

    Near copies in free text share a MinHash at Jaccard .8 with chance .8. With those of the inputs
    a pair is then missed with chance 5e-5.
    """
    first: dict[str, int] = {}
    number = np.array([first.setdefault(answer, row) for row, answer in enumerate(answers)])
    keys = np.repeat(number.astype(np.uint64)[:, None], _BANDS, axis=1)
    free = [row for row, answer in enumerate(answers) if _is_free_text(answer)]
    if free:
        signs = _minhash_signatures([answers[row] for row in free], _BANDS)
        keys[free] = signs.astype(np.uint64) + np.uint64(len(answers))
    return keys


def _minhash_signatures(
    texts: Sequence[str], size: int = _BANDS * _ROWS_PER_BAND
) -> NDArray[np.uint32]:
    """Return the MinHash signatures of texts, shape [texts, size], computed in batches."""
    rng = np.random.default_rng(7)
    shift = np.uint64(32)
    odd = rng.integers(1, 2**63, size, dtype=np.uint64) | np.uint64(1)
    plus = rng.integers(0, 2**63, size, dtype=np.uint64)
    out = np.empty((len(texts), size), dtype=np.uint32)
    for low in range(0, len(texts), _BATCH):
        words, starts = _batch_shingles(texts[low : low + _BATCH])
        for column in range(size):
            mixed = (words * odd[column] + plus[column]) >> shift
            out[low : low + starts.size, column] = np.minimum.reduceat(mixed, starts)
    return out


def _batch_shingles(texts: Sequence[str]) -> tuple[_ShingleHashes, NDArray[np.intp]]:
    """Return the shingle hashes of all texts in one array, and the start index of each text."""
    padded = [text.ljust(_WINDOW, "\0") for text in texts]
    ends = np.cumsum([len(text) for text in padded])
    keep = np.ones(int(ends[-1]) - _WINDOW + 1, dtype=bool)
    for back in range(1, _WINDOW):  # drop windows that cross into the next text
        keep[ends[:-1] - back] = False
    starts = np.concatenate([[0], ends[:-1]]) - (_WINDOW - 1) * np.arange(len(padded))
    return _window_hashes(_code_points("".join(padded)))[keep], starts


def _candidate_pairs(
    band: NDArray[np.uint32], answer_key: NDArray[np.uint64]
) -> Iterable[tuple[int, int]]:
    key = answer_key.copy()
    for column in band.T:
        key = (key ^ column.astype(np.uint64)) * _HASH_MULTIPLIER
        key ^= key >> np.uint64(31)
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    for step in (1, 2, 3):
        same = np.flatnonzero(sorted_key[step:] == sorted_key[:-step])
        yield from zip(order[same].tolist(), order[same + step].tolist(), strict=True)
        if same.size > key.size / 2:  # a template: most rows share the band, neighbours suffice
            return


@dataclass(frozen=True)
class Copies:
    """Normalised inputs of cases, and (position, position, Jaccard) of near copies among them.

    The rule says what links two rows: `near` copies, `exact` ones alone, or (`off`) no text at all,
    as for inputs that share a template and differ in a few words.
    """

    cases: tuple[Case, ...]
    keys: tuple[str, ...]
    pairs: tuple[tuple[int, int, float], ...]
    rule: CopyRule = "near"


def find_copies(cases: Sequence[Case], rule: CopyRule = "near") -> Copies:
    """Return the normalised inputs and, by the rule, near copies of cases in about linear time."""
    keys = [text_without_punctuation(input_text(case)) for case in cases]
    outputs = [normalised_text(case.output) for case in cases]
    pairs = near_copy_pairs(keys, outputs) if rule == "near" else ()
    return Copies(tuple(cases), tuple(keys), tuple(pairs), rule)


def copy_groups(like: Copies) -> list[int]:
    """Return a group number per case: copies, near copies and rows of one `group` share one.

    Copies do unless the rule is `off`.
    """
    groups = _near_copies(like)
    first: dict[tuple[str, str], int] = {}
    for row, case in enumerate(like.cases):
        text = None if like.rule == "off" else like.keys[row]
        for kind, key in (("text", text), ("group", case.group)):
            if key is not None:
                groups.join(row, first.setdefault((kind, key), row))
    return [groups.find(row) for row in range(len(like.cases))]


def near_copy_groups(like: Copies) -> list[int]:
    """Return a group number per case: near copies with the same answer share one.

    `like.pairs` connects such a group with the fewest pairs, so two of its rows may form none.
    """
    groups = _near_copies(like)
    return [groups.find(row) for row in range(len(like.cases))]


def _near_copies(like: Copies) -> UnionFind:
    groups = UnionFind(len(like.cases))
    for a, b, _ in like.pairs:
        groups.join(a, b)
    return groups


_MIN_ANSWER_OVERLAP = 0.3  # two free texts contradict each other below this word overlap (F1)


def contradictory_cases(cases: Iterable[Case], text: bool) -> list[list[Case]]:
    """Return the cases that contradict each other, one list per input; `text`: free texts.

    Two rows agree if one's answer is the other's or is among its accepted ones. Free texts can be
    worded in many ways: they contradict each other only if they share hardly a word.
    """
    rows: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        rows[normalised_text(full_text(case))].append(case)
    return [
        same
        for same in rows.values()
        if len(same) > 1 and any(contradicts(same[0], other, text) for other in same[1:])
    ]


def contradicts(one: Case, other: Case, text: bool) -> bool:
    """Return whether two cases of one input contradict each other; `text`: free answers."""
    mine, theirs = ({_normal_form(t) for t in (c.output, *c.accepted)} for c in (one, other))
    if _normal_form(one.output) in theirs or _normal_form(other.output) in mine:
        return False
    return not text or _word_f1(one.output, other.output) < _MIN_ANSWER_OVERLAP


def _normal_form(text: str) -> str:
    """Return an answer in normal form: JSON with sorted keys, else without case and space."""
    if text.lstrip()[:1] in {"{", "["}:
        try:
            return canonical(json.loads(text))
        except (ValueError, RecursionError):
            pass
    return normalised_text(text)


def _word_f1(one: str, other: str) -> float:
    a, b = set(normalised_text(one).split()), set(normalised_text(other).split())
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0
