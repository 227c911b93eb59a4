"""Findings that would surprise an engineer, each made of measured figures that ship.

A finding states its figures from an entry of the atlas or the result of an experiment, and is
shown only where its sentence follows from them: `None` where the data is not there, or says
otherwise. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tuneworthy.atlas.atlas_data import Atlas
from tuneworthy.atlas.atlas_map import card_line
from tuneworthy.core.interval import Interval
from tuneworthy.core.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.lab.claim_results import ClaimResult, Figure

MOST = 5
BANK = "banking77-400-smollm2-135m"
REQUESTS = "snips_json-400-smollm2-135m"
PASSAGES = "xquad_docs-400-smollm2-135m"
SUMS = "gsm8k-400-smollm2-135m"


@dataclass(frozen=True)
class Row:
    """One bar of a finding: what it is of, its mean and bounds; None where no bound is known.

    `strong`: it is what the headline speaks of.
    """

    name: str
    mean: float
    bounds: Interval | None
    strong: bool = False


@dataclass(frozen=True)
class Finding:
    """A headline, what it means, its bars, on what it was measured, and where its evidence is.

    `entry` is the key of a measured task or "", `claim` the number of an experiment or 0.
    """

    headline: str
    means: str
    rows: tuple[Row, ...]
    measured_on: str
    entry: str = ""
    claim: int = 0


@dataclass(frozen=True)
class Measured:
    """What findings are made from: cards by key, and results of experiments by name."""

    cards: Mapping[str, MeasuredTask] = field(default_factory=dict)
    claims: Mapping[str, ClaimResult] = field(default_factory=dict)


def measured_of(atlas: Atlas, results: Sequence[ClaimResult]) -> Measured:
    """Return the shipped figures that findings are made from."""
    cards = {key: each.head.card for key, each in atlas.entries.items()}
    return Measured(cards, {each.name: each for each in results})


def findings(measured: Measured) -> list[Finding]:
    """Return the findings that the figures bear out, five at most."""
    made = (make(measured) for make in FINDINGS)
    return [each for each in made if each is not None][:MOST]


def _arms(card: MeasuredTask | None, *names: str) -> dict[str, MeasuredArm]:
    """Return the arms of a card by name; {} if one of these has no score."""
    known = {arm.name: arm for arm in card.arms if arm.score} if card else {}
    return known if set(names) <= set(known) else {}


def _bar(name: str, score: Interval | None, strong: bool = False) -> Row:
    assert score is not None  # `_arms` returns arms with scores
    return Row(name, score.mean, score, strong)


def _figure_bar(name: str, shown: Figure, strong: bool = False) -> Row:
    bounds = Interval(mean=shown.mean, low=shown.low, high=shown.high)
    return Row(name, shown.mean, bounds, strong)


def reading(measured: Measured) -> Finding | None:
    """Return the finding that training to read passages helps more than the right passage."""
    card = measured.cards.get(PASSAGES)
    arms = _arms(card, "zero_shot", "rag", "rag_lora")
    if not arms or card is None or card.reading is None:
        return None
    tuned = arms["rag_lora"].score
    if tuned is None or tuned.low <= card.reading:
        return None
    return Finding(
        "A better retriever would not have helped: the model could not read.",
        "Even with the right passage in its prompt the untrained model rarely answered. Training"
        " on prompts with passages taught it to use them.",
        (
            _bar("question alone", arms["zero_shot"].score),
            _bar("retrieved passage", arms["rag"].score),
            Row("right passage", card.reading, None),
            _bar("trained on passages, retrieved passage", tuned, strong=True),
        ),
        f"{card.title}: {card_line(card)}",
        entry=PASSAGES,
    )


def word_counts(measured: Measured) -> Finding | None:
    """Return the finding that a classifier on word counts beats every prompt on labels."""
    card = measured.cards.get(BANK)
    arms = _arms(card, "tfidf", "constrained", "nearest_shots", "zero_shot")
    prompts = [arms[name] for name in ("constrained", "nearest_shots", "zero_shot") if arms]
    if not arms or card is None or any(a.behind is None or a.behind.low <= 0 for a in prompts):
        return None
    return Finding(
        "Word counts beat every prompt on 77 labels.",
        "A classifier on word counts learns from the same rows, asks no model, and was ahead of"
        " examples in the prompt and of decoding under the list of labels.",
        (
            _bar("plain instruction", arms["zero_shot"].score),
            _bar("nearest examples", arms["nearest_shots"].score),
            _bar("list of labels enforced", arms["constrained"].score),
            _bar("classifier on word counts", arms["tfidf"].score, strong=True),
        ),
        f"{card.title}: {card_line(card)}",
        entry=BANK,
    )


def open_lead(measured: Measured) -> Finding | None:
    """Return the finding that a large lead of a tuned model is not shown yet."""
    card = measured.cards.get(REQUESTS)
    arms = _arms(card, "lora", "nearest_shots", "zero_shot")
    gap = arms["nearest_shots"].behind if arms else None
    if card is None or gap is None or card.status != "provisional":
        return None
    if gap.mean < 0.1 or gap.low > 0:
        return None
    return Finding(
        f"A lead of {100 * gap.mean:.0f} points did not show that tuning wins.",
        "The tuned model was ahead of the nearest examples, but on the rows that both answered"
        f" the bound runs from {_points(gap.low)} to {_points(gap.high)} points. The verdict stays"
        " provisional until there are more rows.",
        (
            _bar("plain instruction", arms["zero_shot"].score),
            _bar("nearest examples", arms["nearest_shots"].score),
            _bar("LoRA", arms["lora"].score, strong=True),
        ),
        f"{card.title}: {card_line(card)}",
        entry=REQUESTS,
    )


def few_rows(measured: Measured) -> Finding | None:
    """Return the finding that fifty rows leave most real differences open."""
    told = measured.claims.get("weak_evaluations")
    shown = {each.name: each for each in told.figures} if told else {}
    rows = {n: shown.get(f"left open by the bound, {n} rows") for n in (30, 50, 100)}
    fifty = rows[50]
    if told is None or fifty is None or fifty.low <= 0.5:
        return None
    return Finding(
        "Fifty test rows leave most real differences open.",
        "Pairs of systems that truly lie 2 to 10 points apart were compared on samples of their"
        " rows. The bars show in what share of the samples a 95 % bound could not tell which one"
        " is better.",
        tuple(_figure_bar(f"{n} rows", each, n == 50) for n, each in rows.items() if each),
        f"{told.model}, {told.figures[0].n} pairs, {told.date}",
        claim=told.number,
    )


def nothing_works(measured: Measured) -> Finding | None:
    """Return the finding that on sums nothing beats the most common answer."""
    card = measured.cards.get(SUMS)
    arms = _arms(card, "majority", "zero_shot", "few_shot", "nearest_shots")
    if not arms or card is None or card.use != "none":
        return None
    return Finding(
        "Sometimes nothing beats giving the same answer every time.",
        "Examples did not teach a small model to calculate: no prompt is shown better than the"
        " most common number. Naming no tool is a verdict too.",
        (
            _bar("most common number", arms["majority"].score, strong=True),
            _bar("plain instruction", arms["zero_shot"].score),
            _bar("fixed examples", arms["few_shot"].score),
            _bar("nearest examples", arms["nearest_shots"].score),
        ),
        f"{card.title}: {card_line(card)}",
        entry=SUMS,
    )


def _points(value: float) -> str:
    text = f"{100 * value:+.0f}"
    return text.replace("-", "−") if text not in ("+0", "-0") else "0"


FINDINGS: tuple[Callable[[Measured], Finding | None], ...] = (
    reading, word_counts, few_rows, open_lead, nothing_works,
)  # fmt: skip
