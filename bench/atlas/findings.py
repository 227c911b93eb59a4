"""Findings that would surprise an engineer, each made from shipped measurements.

A finding takes its figures from an entry of the atlas or the result of an experiment. Its function
returns None if the figures are missing or do not support its sentence. Nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.atlas.atlas_data import Atlas
from bench.atlas.atlas_map import model_name, reference_arms, scored_rows_text

from tuneworthy.lab.claim_results import ClaimResult, Figure, number_text
from tuneworthy.records.counting import points
from tuneworthy.records.interval import Interval
from tuneworthy.records.measured_task import MeasuredArm, MeasuredTask
from tuneworthy.report.atlas_file import FindingBar, HeadlineFinding

MOST_FINDINGS = 5
BANK_KEY = "banking77-400-smollm2-135m"
VOICE_KEY = "house_voice-100-smollm2-135m"
RULES_KEY = "policy_faq-100-smollm2-135m"
SUMS_KEY = "word_sums-100-smollm2-135m"


@dataclass(frozen=True)
class MeasuredFigures:
    """The figures behind the findings: measured tasks by key, results of experiments by name."""

    cards: Mapping[str, MeasuredTask] = field(default_factory=dict)
    claims: Mapping[str, ClaimResult] = field(default_factory=dict)


def measured_figures(atlas: Atlas, results: Sequence[ClaimResult]) -> MeasuredFigures:
    """Return the figures of an atlas and of claim results, by key and by name."""
    cards = {key: each.head.card for key, each in atlas.entries.items()}
    return MeasuredFigures(cards, {each.name: each for each in results})


def findings(measured: MeasuredFigures) -> list[HeadlineFinding]:
    """Return the findings that the figures support, five at most."""
    made = (make(measured) for make in HEADLINE_FINDINGS)
    return [each for each in made if each is not None][:MOST_FINDINGS]


def _scored_arms(card: MeasuredTask | None, *names: str) -> dict[str, MeasuredArm]:
    """Return the scored arms of a measured task by name; {} if one of `names` is missing."""
    known = {arm.name: arm for arm in card.arms if arm.score} if card else {}
    return known if set(names) <= set(known) else {}


def _score_bar(name: str, score: Interval | None, strong: bool = False) -> FindingBar:
    assert score is not None  # `_scored_arms` returns arms with scores
    return FindingBar(name=name, mean=score.mean, bounds=score, strong=strong)


def _figure_bar(name: str, shown: Figure, strong: bool = False) -> FindingBar:
    bounds = Interval(mean=shown.mean, low=shown.low, high=shown.high)
    return FindingBar(name=name, mean=shown.mean, bounds=bounds, strong=strong)


def _measured_on(card: MeasuredTask) -> str:
    guessed = [arm.score for arm in reference_arms(card) if arm.name.startswith("majority")]
    shown = [f"guessing {number_text(score.mean)}" for score in guessed[:1] if score]
    parts = [model_name(card.model), scored_rows_text(card), *shown]
    return f"{card.title}: {' · '.join(parts)}"


def together_finding(measured: MeasuredFigures) -> HeadlineFinding | None:
    """Return the finding that tuning on retrieved passages beats either alone, or None."""
    card = measured.cards.get(RULES_KEY)
    arms = _scored_arms(card, "zero_shot", "rag", "lora", "rag_lora")
    if not arms or card is None or card.reading is None or card.arm != "rag_lora":
        return None
    rag, lora, both = (arms[name].score for name in ("rag", "lora", "rag_lora"))
    if any(a.behind is None or a.behind.low <= 0 for a in (arms["rag"], arms["lora"])):
        return None
    if rag is None or lora is None or both is None or card.reading - rag.mean > card.margin:
        return None
    texts = (number_text(each.mean) for each in (rag, lora, both))
    return HeadlineFinding(
        headline="Retrieval got {}, tuning {}: together {}.".format(*texts),
        means="With the right passage itself the untuned model got"
        f" {number_text(card.reading)}: a better retriever would have added little. Training on"
        " prompts that hold passages taught it to use them. Guessing gives the most common right"
        " answer to every question, so the untuned model can score less than it.",
        rows=(
            _score_bar("question alone", arms["zero_shot"].score),
            _score_bar("retrieved passage", rag),
            FindingBar(name="right passage", mean=card.reading, bounds=None),
            _score_bar("tuned on questions alone", lora),
            _score_bar("tuned on passages, retrieved passage", both, strong=True),
        ),
        measured_on=_measured_on(card),
        entry=RULES_KEY,
    )


def word_counts_finding(measured: MeasuredFigures) -> HeadlineFinding | None:
    """Return the finding that a classifier on word counts beats every prompt, or None."""
    card = measured.cards.get(BANK_KEY)
    arms = _scored_arms(card, "tfidf", "constrained", "nearest_shots", "zero_shot")
    prompts = [arm for arm in arms.values() if arm.tool in ("prompt", "schema")]
    if not arms or card is None or arms["tfidf"].behind is not None:
        return None
    if any(arm.behind is None or arm.behind.low <= 0 for arm in prompts):
        return None
    return HeadlineFinding(
        headline="Word counts beat every prompt on 77 labels.",
        means="A classifier on word counts learns from the same rows and asks no model. The bars of"
        " its score and of the enforced labels overlap; on the same rows its lead over each prompt"
        " lies above 0.",
        rows=(
            _score_bar("plain instruction", arms["zero_shot"].score),
            _score_bar("nearest examples", arms["nearest_shots"].score),
            _score_bar("list of labels enforced", arms["constrained"].score),
            _score_bar("classifier on word counts", arms["tfidf"].score),
            _score_bar("its lead over nearest examples", arms["nearest_shots"].behind, strong=True),
            _score_bar("its lead over enforced labels", arms["constrained"].behind, strong=True),
        ),
        measured_on=_measured_on(card),
        entry=BANK_KEY,
    )


def voice_finding(measured: MeasuredFigures) -> HeadlineFinding | None:
    """Return the finding that examples in the prompt beat training on a voice, or None."""
    card = measured.cards.get(VOICE_KEY)
    arms = _scored_arms(card, "zero_shot", "few_shot", "nearest_shots", "lora")
    behind = arms["lora"].behind if arms else None
    if card is None or behind is None or card.arm != "nearest_shots" or behind.low <= 0:
        return None
    return HeadlineFinding(
        headline="A house voice called for examples, not for training.",
        means="Style is said to be what tuning is for. The rows nearest to each input, put into the"
        f" prompt, beat training on the same rows by {100 * behind.mean:.0f} points"
        f" ({100 * behind.low:.0f} to {100 * behind.high:.0f}), at the price of a longer prompt.",
        rows=(
            _score_bar("plain instruction", arms["zero_shot"].score),
            _score_bar("fixed examples", arms["few_shot"].score),
            _score_bar("nearest examples", arms["nearest_shots"].score, strong=True),
            _score_bar("LoRA", arms["lora"].score),
        ),
        measured_on=_measured_on(card),
        entry=VOICE_KEY,
    )


def few_rows_finding(measured: MeasuredFigures) -> HeadlineFinding | None:
    """Return the finding that fifty rows leave most real differences open, or None."""
    told = measured.claims.get("weak_evaluations")
    shown = {each.name: each for each in told.figures} if told else {}
    rows = {n: shown.get(f"left open by the bound, {n} rows") for n in (30, 50, 100)}
    fifty = rows[50]
    if told is None or fifty is None or fifty.low <= 0.5:
        return None
    return HeadlineFinding(
        headline="Fifty test rows leave most real differences open.",
        means="Pairs of systems that truly lie 2 to 10 points apart were compared on samples of"
        " their rows. The bars show in what share of the samples a 95 % bound could not tell which"
        " one is better.",
        rows=tuple(_figure_bar(f"{n} rows", each, n == 50) for n, each in rows.items() if each),
        measured_on=f"{told.model}, {told.figures[0].n} pairs, {told.date}",
        claim=told.number,
    )


def nothing_works_finding(measured: MeasuredFigures) -> HeadlineFinding | None:
    """Return the finding that on sums no arm is shown to beat the most common answer, or None."""
    card = measured.cards.get(SUMS_KEY)
    arms = _scored_arms(card, "majority", "zero_shot", "nearest_shots", "lora")
    if not arms or card is None or card.use != "none":
        return None
    shown = "beats" if card.status == "firm" else "is shown to beat"
    most = f" (the bound: by at most {points(card.left)})" if card.left is not None else ""
    return HeadlineFinding(
        headline=f"On word sums nothing {shown} one fixed answer.",
        means="Neither examples nor training on a hundred solved sums taught a small model to"
        f" calculate: no arm is shown better than the most common number{most}. Naming no tool is a"
        " verdict too.",
        rows=(
            _score_bar("most common number", arms["majority"].score, strong=True),
            _score_bar("plain instruction", arms["zero_shot"].score),
            _score_bar("nearest examples", arms["nearest_shots"].score),
            _score_bar("LoRA", arms["lora"].score),
        ),
        measured_on=_measured_on(card),
        entry=SUMS_KEY,
    )


HEADLINE_FINDINGS: tuple[Callable[[MeasuredFigures], HeadlineFinding | None], ...] = (
    together_finding, voice_finding, word_counts_finding, nothing_works_finding,
    few_rows_finding,
)  # fmt: skip
