"""Estimate tokens of a text, group rows by length and cost, compare log-probabilities."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

LEAST_TOKENS, PADDING_SHARE, MOST_PADDED_TOKENS = 512, 0.05, 2048

FINE_GROUPS = 256, 0.01  # least tokens and padding share for a GEMM without a setup per length


def balanced_groups(costs: Sequence[int], rows: int, most: int, count: int) -> list[range]:
    """Return index ranges of rows sorted by falling cost; each range has a like padded cost.

    That is rows × their largest cost. A range has at most `rows` rows and a padded cost of `most`
    (a row above it is alone). There are as few ranges as that allows, rounded up to a multiple of
    `count` if there are enough rows.
    """

    def cut(limit: int) -> list[range]:
        runs, start = [], 0
        while start < len(costs):
            size = max(1, min(rows, limit // costs[start]))
            runs.append(range(start, min(start + size, len(costs))))
            start += size
        return runs

    if not costs:
        return []
    runs = min(len(costs), -(-len(cut(most)) // count) * count)
    low, high = min(costs[0], most), max(costs[0], most)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(cut(middle)) <= runs else (middle + 1, high)
    return cut(low)


def similar_length_groups(
    lengths: Sequence[int],
    least: int = LEAST_TOKENS,
    share: float = PADDING_SHARE,
    most: int = MOST_PADDED_TOKENS,
) -> list[range]:
    """Return consecutive ranges of rows whose lengths are similar.

    A group ends where the next row would make more than `share` of it padding, once it has `least`
    tokens, because fewer take as long. A group has at most `most` padded tokens: with more, a
    layer's activations no longer fit the cache. A row above that is a group of its own.
    """
    runs, start, longest, total = [], 0, 0, 0
    for at, length in enumerate(lengths):
        widest, tokens = max(longest, length), total + length
        padded = widest * (at + 1 - start)
        loose = total >= least and padded - tokens > share * padded
        if at > start and (loose or padded > most):
            runs.append(range(start, at))
            start, widest, tokens = at, length, length
        longest, total = widest, tokens
    return [*runs, range(start, len(lengths))] if lengths else []


_LEAST_SHARED_TOKENS = 8  # a shorter shared prompt costs more in overhead than it saves


class TokenRow(Protocol):
    """One row as token ids; the `trained` ids from index `first` on are trained on."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the token ids."""

    @property
    def first(self) -> int:
        """Return the index of the first trained token."""

    @property
    def trained(self) -> int:
        """Return the number of trained tokens."""


def shared_length(rows: Sequence[TokenRow]) -> int:
    """Return the length of the untrained prefix common to all rows; 0 if sharing does not pay.

    One prompt token a row is excluded, because the first answer token is predicted from it.
    """
    if len(rows) < 2:
        return 0
    length = min(row.first for row in rows) - 1
    lead = rows[0].ids
    for row in rows[1:]:
        while length > 0 and row.ids[:length] != lead[:length]:
            same = next(i for i in range(length) if row.ids[i] != lead[i])
            length = same
    return length if length >= _LEAST_SHARED_TOKENS else 0


def parts(
    rows: Sequence[TokenRow], budget: int, skipped: int = 0, count: int = 1
) -> list[list[int]]:
    """Return `rows` as lists of indices (batches) of similar length and similar cost.

    At most `budget` padded tokens each; a row above it is a group of its own. `skipped` first
    tokens of every row are not counted (the shared prompt). `count` groups run in parallel, so
    there are that many, or a multiple, if there are enough rows.
    """
    ranked = sorted(range(len(rows)), key=lambda i: (-len(rows[i].ids), i))
    costs = [len(rows[i].ids) - skipped for i in ranked]
    return [[ranked[k] for k in run] for run in balanced_groups(costs, len(rows), budget, count)]


_LETTERS_PER_TOKEN = 6.5

"""Letters of a token inside an English word; a word has at least one token."""

LONG_WORD_LETTERS, LONG_WORD_LETTERS_PER_TOKEN = 12, 5.0

"""Longer words are compounds, as in German, of shorter tokens."""

_DIGITS_PER_TOKEN = 3

_OTHER_LETTERS_PER_TOKEN = 2.0

"""Letters of a token in other alphabets."""

_FIRST_WIDE_LETTER = (
    "\u2e80"  # from here on a letter is a word of its own: Chinese, Japanese, Korean
)

_TOKEN_PATTERN = re.compile(
    r"(?P<word>[A-Za-z]+)|(?P<number>\d+)|(?P<other>[^\W\d_]+)"
    r"|(?P<gap>\s*\n\s*|[^\S\n]{2,}|\s(?=\d))|(?P<space>\s)|(?P<marks>(?:[^\w\s]|_)+)"
)


def text_tokens(text: str) -> float:
    """Return the estimated number of tokens in a text; 0 for an empty one."""
    return sum(
        _piece_tokens(str(piece.lastgroup), piece[0]) for piece in _TOKEN_PATTERN.finditer(text)
    )


def _piece_tokens(kind: str, piece: str) -> float:
    """Return the estimated tokens of a piece ("word", "number" …); 0 for a single space."""
    n = len(piece)
    if kind == "word":
        return max(
            1.0, n / (LONG_WORD_LETTERS_PER_TOKEN if n > LONG_WORD_LETTERS else _LETTERS_PER_TOKEN)
        )
    if kind == "number":
        return float(-(-n // _DIGITS_PER_TOKEN))
    if kind == "other":
        wide = sum(letter >= _FIRST_WIDE_LETTER for letter in piece)
        return wide + (n - wide) / _OTHER_LETTERS_PER_TOKEN
    return {"gap": 1.0, "space": 0.0}.get(kind, max(1.0, n / 2))


TokenLogProbs = Sequence[Sequence[float] | None]

TOLERANCE = 1e-3

"""Nats a token by which two exact forms may differ, whatever the noise floor: engines add the same
numbers in another order, while one engine may repeat every bit."""

MOST_GAP_SHARE = 0.1

"""Largest gap between two models that should be equal, as a share of the adapter's effect. The base
finds the tuned answers unlikely, and bf16 rounds such tokens more: .051 nats were seen at an effect
of 2.5."""


def mean_distance(one: TokenLogProbs, other: TokenLogProbs) -> float:
    """Return the mean of |a - b| over all tokens of two tables.

    A table may lack the last token of an answer (its end), which is then left out.
    """
    gaps = [
        abs(x - y)
        for a, b in zip(one, other, strict=True)
        for x, y in zip(a or (), b or (), strict=False)
    ]
    return sum(gaps) / max(1, len(gaps))
