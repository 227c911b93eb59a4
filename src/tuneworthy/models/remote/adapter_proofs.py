"""Check that a server answers with the expected adapter or base, by log-probabilities.

The proof rows have the log-probabilities of training answers under the trained model, with its
adapter and without, computed in this process right after training. The server must agree:

- the base has the base's log-probabilities, before the adapter is loaded and after it
- the adapter is applied: its log-probabilities are the tuned model's, not the base's
- the right adapter answers: no other loaded adapter has the same log-probabilities
- no prefix is stale: the prefix cache of the base changes no answer of the adapter, nor the other
  way round
- the prompt is the same: the server reads as many tokens as training did

`AdapterProof.check` finds later faults (the server started anew, an adapter dropped).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tuneworthy.models.remote.server_requests import ServerScores
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError, NotProven
from tuneworthy.records.record import Record
from tuneworthy.records.tokens import MOST_GAP_SHARE, TOLERANCE, mean_distance

_PROOFS_FILE = "proofs.json"  # beside the folder of the adapter
MOST_PROOF_ROWS = 16  # training answers that are compared
_PREFIX_ROWS = 6  # prompts that are sent with and without the prefix cache
_PROVED_ROWS = 2  # training answers that are compared again after each call


class ProofRow(Record):
    """A training answer: token ids, the index of its first token, and its log-probabilities.

    `read` is the number of its prompt's tokens at inference; `base` and `tuned` have one
    log-probability for each id from `first` on, the end of the turn included.
    """

    prompt: tuple[Message, ...]
    read: int
    ids: tuple[int, ...]
    first: int
    base: tuple[float, ...]
    tuned: tuple[float, ...]

    @property
    def given(self) -> tuple[tuple[int, ...], int]:
        """Return the ids and the index of the answer's first id, as `ServerScores` takes them."""
        return self.ids, self.first

    @property
    def place(self) -> int:
        """Return the index of the id whose log-probability the adapter changed most."""
        gaps = [abs(a - b) for a, b in zip(self.base, self.tuned, strict=True)]
        return self.first + gaps.index(max(gaps))


def write_proofs(folder: Path, rows: Sequence[ProofRow]) -> None:
    """Write the proof rows of the adapter in `folder` beside that folder."""
    text = json.dumps({"rows": [row.plain() for row in rows]})
    folder.with_name(_PROOFS_FILE).write_text(text, "utf-8")


def read_proofs(folder: Path) -> list[ProofRow]:
    """Return the proof rows of the adapter in `folder`. Raises ModelError without them."""
    try:
        distances = json.loads(folder.with_name(_PROOFS_FILE).read_text("utf-8"))
        rows = [ProofRow.model_validate(row) for row in distances["rows"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            "nothing is here to prove an adapter by behind a server",
            where=str(folder.with_name(_PROOFS_FILE)),
            got=f"{type(error).__name__}: {error}",
            fix="train it again with the model behind the server, or answer with hf:",
        ) from None
    return rows


@dataclass(frozen=True)
class ServedNames:
    """The server's names of the base, of the adapter, and of other adapters that it has loaded."""

    base: str
    adapter: str
    others: Sequence[str] = ()


@dataclass(frozen=True)
class AdapterProof:
    """The log-probabilities of base and adapter on a server when the adapter passed its checks.

    `floor` is the mean distance of the base to itself, in one batch and one by one: 0 where answers
    do not depend on their batch.
    """

    names: ServedNames
    rows: Sequence[ProofRow]
    base: Sequence[Sequence[float]]
    tuned: Sequence[Sequence[float]]
    floor: float

    def check(self, server: ServerScores) -> None:
        """Raise NotProven if base or adapter changed since the proof, by their log-probabilities.

        Raises ProviderError if the server does not answer.
        """
        given = [row.given for row in self.rows[:_PROVED_ROWS]]
        limit = _self_distance_limit(self.floor)
        for name, before in ((self.names.adapter, self.tuned), (self.names.base, self.base)):
            gap = mean_distance(server.scores(name, given), before[:_PROVED_ROWS])
            if gap > limit:
                what = "the adapter" if name == self.names.adapter else "the base"
                _raise_not_proven(
                    f"{what} changed while it was asked",
                    f"{name} is {gap:.2g} nats a token from what it was when it was proved",
                    limit,
                )


def prove(
    server: ServerScores, names: ServedNames, rows: Sequence[ProofRow], load: Callable[[], None]
) -> AdapterProof:
    """Load the adapter by `load`, check it (see the module), and return its log-probabilities.

    Raises NotProven if a check fails, ProviderError if the server does not answer.
    """
    given = [row.given for row in rows]
    base, tuned = [row.base for row in rows], [row.tuned for row in rows]
    before = server.scores(names.base, given)
    floor = mean_distance(before, [server.scores(names.base, [one])[0] for one in given])
    effect, same = mean_distance(base, tuned), _self_distance_limit(floor)
    if effect <= 2 * same:
        _raise_not_proven(
            "the adapter changes too little to be told from the base",
            f"{effect:.2g} nats a token of its training answers, asked twice {floor:.2g}",
            2 * same,
        )
    limit = max(same, MOST_GAP_SHARE * effect)
    if (gap := mean_distance(before, base)) > limit:
        _raise_not_proven(
            "the base behind the server is not the model that was trained",
            f"{gap:.2g} nats a token apart on training answers",
            limit,
        )
    load()
    found = server.scores(names.adapter, given)
    _check_adapter(found, (base, tuned), limit)
    for other in names.others:
        if (gap := mean_distance(found, server.scores(other, given))) <= same:
            _raise_not_proven(
                "the server answers with another adapter than the one it is asked for",
                f"{names.adapter} and {other} are {gap:.2g} nats a token apart",
                same,
            )
    if (gap := mean_distance(server.scores(names.base, given), before)) > same:
        _raise_not_proven(
            "the base behind the server changed when the adapter was loaded",
            f"{gap:.2g} nats a token from what it was before",
            same,
        )
    _check_prefixes(server, names, rows[:_PREFIX_ROWS], floor)
    _check_prompts(server, names, rows[0])
    return AdapterProof(names, rows, before, found, floor)


def _check_adapter(
    found: Sequence[Sequence[float]],
    references: tuple[Sequence[Sequence[float]], Sequence[Sequence[float]]],
    limit: float,
) -> None:
    off, on = (mean_distance(found, reference) for reference in references)
    if on <= limit:
        return
    distances = f"{on:.2g} nats a token from the tuned model, {off:.2g} from the base"
    if off <= limit:
        _raise_not_proven(
            "the adapter is not applied: the base answers under its name", distances, limit
        )
    _raise_not_proven(
        "another adapter answers than the one that was trained, or at another scale",
        distances,
        limit,
    )


def _check_prefixes(
    server: ServerScores, names: ServedNames, rows: Sequence[ProofRow], floor: float
) -> None:
    """Raise NotProven if the prefix cache changes next tokens, after other models' requests."""
    stale: dict[str, list[float]] = {names.adapter: [], names.base: []}
    effects = []
    for row in rows:
        ids = row.ids[: row.place]
        server.likeliest(names.base, ids, cached=True)
        tuned = server.likeliest(names.adapter, ids, cached=True)
        base = server.likeliest(names.base, ids, cached=True)
        cold_tuned = server.likeliest(names.adapter, ids, cached=False)
        cold_base = server.likeliest(names.base, ids, cached=False)
        stale[names.adapter].append(_likeliest_gap(cold_tuned, tuned))
        stale[names.base].append(_likeliest_gap(cold_base, base))
        effects.append(_likeliest_gap(cold_tuned, cold_base))
    limit = max(_self_distance_limit(floor), MOST_GAP_SHARE * sum(effects) / len(effects))
    for name, gaps in stale.items():
        if (gap := sum(gaps) / len(gaps)) > limit:
            other = names.base if name == names.adapter else names.adapter
            _raise_not_proven(
                "the server answers from a stale prefix",
                f"after {other} was asked the same prompt, {name} is {gap:.2g} nats from what it"
                " says without the prefix cache",
                limit,
            )


def _check_prompts(server: ServerScores, names: ServedNames, row: ProofRow) -> None:
    served, read = server.answered(names.adapter, row.prompt)
    if served.rpartition(":")[2] != names.adapter.rpartition(":")[2]:
        _raise_not_proven(
            "the server says that another model answered", f"{served} for {names.adapter}"
        )
    if read is not None and read != row.read:
        _raise_not_proven(
            "the server renders prompts in another way than training did",
            f"{read} tokens behind the server, {row.read} in training",
        )


def _likeliest_gap(one: dict[str, float], other: dict[str, float]) -> float:
    """Return the difference in log-probability of the likeliest token of `one`."""
    token = max(one, key=lambda name: one[name])
    return abs(one[token] - other.get(token, min(other.values())))


def _self_distance_limit(floor: float) -> float:
    """Return the largest distance of one model to itself in two requests that is accepted."""
    return max(2 * floor, TOLERANCE)


def _raise_not_proven(what: str, got: str, limit: float | None = None) -> NoReturn:
    allowed = "" if limit is None else f" (allowed {limit:.2g})"
    raise NotProven(
        what,
        got=got + allowed,
        fix="see the server's version and its open issues; the arm is tried again on the next run",
        kept="the adapter, and all other answers",
    )
