"""Is what fails behaviour (style, format, convention), and not missing facts?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from math import ceil

from tuneworthy.explain.cause_shares import FEW_FAILURES, FEW_IF_NONE_ACTS
from tuneworthy.explain.questions._findings import (
    finalists,
    finding,
    pair_of,
    rows_needed_clause,
    ticked,
    unmeasured,
    untrained_on_same_model,
)
from tuneworthy.matrix.design import Design
from tuneworthy.records.causes import Diagnosis
from tuneworthy.records.counting import percent, percent_with_bounds, points_with_bounds
from tuneworthy.records.evidence import ArmResult, Evidence
from tuneworthy.records.further import KnowledgeProbe, Proportion
from tuneworthy.records.interval import Interval
from tuneworthy.records.plugins import catalogue, load
from tuneworthy.records.task import TRAINED_TOOLS, Task, Tool
from tuneworthy.records.verdict import Finding

QUESTION = "Is what fails behaviour, and not missing facts?"
PRIOR = None
WRONG = (
    "Training teaches a way of answering; it is no reliable way to put facts in: what is missing"
    " belongs into the context."
)
UNIT = "share"
HALF = 0.5  # default: share of facts among the causes
_GIVE_PASSAGES = "give rows their `context`, the passage that holds the answer"
_GIVE_DOCUMENTS = "put the documents into the context (data.docs)"
_ASK_A_MODEL = "measure what runs today or a prompt, and remedies for it"
_READ_THEM = "say it yourself from the failures that the report lists"
_LEARNT = "learnt from other rows, without documents"
_HOW: dict[Tool, str] = {
    **dict.fromkeys(("classifier", *TRAINED_TOOLS), _LEARNT),
    "schema": "by holding answers to your form",
    "context": "from your documents",
}
_finding = partial(finding, "behaviour_not_facts", PRIOR)


def ask(evidence: Evidence, task: Task) -> Finding:
    """Answer no if facts are shown to be half of the causes, or too many rows new to the model.

    `value` is the share of knowledge and retrieval among the causes of the failures. Where the
    diagnosis can't tell, what an arm with documents, or one that learns, gains over the base does,
    and then what training with documents gains over training without.
    """
    if (new := _unknown_share_if_too_high(evidence.known)) is not None:
        share, of = new
        ends = f"at least {percent(share.low)}"
        because = f"the model knows no answer to {share.k:,} of {share.n:,} {of} ({ends})"
        return _finding(
            "no",
            because,
            _GIVE_DOCUMENTS,
            Interval(mean=share.share, low=share.low, high=share.high),
        )
    found = _finding_on_causes(evidence)
    if found.answer != "not_measured":
        return found
    return _finding_on_gains(evidence, task) or _finding_on_documents(evidence, task) or found


def _finding_on_causes(evidence: Evidence) -> Finding:
    """Return the finding by the causes that the diagnosis gives to the failures."""
    read = evidence.diagnosis
    if read is None or not read.wrong:
        why = (read.because if read else "") or "neither what runs today nor a prompt was measured"
        done = read is not None and not read.n_fail
        step = "keep it" if done else f"{_ASK_A_MODEL}, or {_READ_THEM}"
        return _finding("not_measured", unmeasured(evidence.missing, "diagnosis", why), step)
    if read.few and read.because:  # no remedy could be tried, so more rows would not help
        step = f"{_ASK_A_MODEL}, or {_READ_THEM}"
        return _finding("not_measured", unmeasured({}, "", read.because), step)
    if read.few:
        return _finding(
            "not_measured", _rows_needed_text(read), f"score more rows, or {_READ_THEM}"
        )
    share_of = missing_facts_share(read)
    if share_of is None:
        because = f"no cause of either kind is shown in {read.n_fail:,} failures"
        return _finding("not_measured", unmeasured({}, "", because), "give rows their `context`")
    return _finding_on_fact_share(read, share_of)


def _finding_on_gains(evidence: Evidence, task: Task) -> Finding | None:
    """Return the finding by how much of what the base lacks an arm gains; None if too little.

    An arm that reads documents gains facts, one that holds answers to a form behaviour. So does one
    that learns from other rows if no fact can stand in those: the answers are labels or JSON, and
    there are no documents.
    """
    closed = task.output.type in ("label", "json") and task.data.docs is None
    arms = [arm for arm in finalists(evidence, tuple(_HOW)) if not (arm.recorded or arm.present)]
    tried = [arm for arm in arms if closed or arm.tool in ("context", "schema")]
    gains = [(*_share_gained(evidence, task, arm), arm) for arm in tried]
    share, lacking, arm = max(gains, key=lambda gain: gain[0], default=(0.0, "", None))
    if arm is None or share < HALF:
        return None
    said = (
        f"{ticked(arm.name)} gains {percent(share)} or more of the score that {ticked(lacking)}"
        f" lacks, {_HOW[arm.tool or 'classifier']}"
    )
    if arm.tool == "context":
        return _finding("no", f"{said}: most of what fails lacks a fact", _GIVE_DOCUMENTS)
    return _finding("yes", f"{said}: most of what fails is behaviour", "")


def _finding_on_documents(evidence: Evidence, task: Task) -> Finding | None:
    """Return no if training that reads documents gains the margin over training without, or None.

    Both learn the behaviour from the same rows: what the one gains more stands in the documents.
    """
    trained = [arm for arm in evidence.arms
               if arm.tool in TRAINED_TOOLS and not (arm.recorded or arm.present)]  # fmt: skip
    readers = [arm for arm in trained if _reads_documents(arm.name.partition("(")[0])]
    others = [arm for arm in trained if arm not in readers]
    for one, other in product(readers, others):
        pair = pair_of(evidence, one.name, other.name)
        if pair and pair.low >= task.success.margin:
            said = f"{ticked(one.name)}, which reads the documents, minus {ticked(other.name)} is"
            ahead = points_with_bounds(pair, f"n = {pair.n:,}")
            why = f"{said} {ahead}: what fails lacks facts too"
            return _finding("no", why, _GIVE_DOCUMENTS)
    return None


def _reads_documents(arm: str) -> bool:
    return arm in catalogue("arms") and "docs" in load("arms", arm).NEEDS


def _share_gained(evidence: Evidence, task: Task, arm: ArmResult) -> tuple[float, str]:
    """Return (least share of the base's lost score that an arm gains, the base); (0, "") if none.

    The base is the arm that was diagnosed, else what runs today, else a prompt. Counted is the
    smallest gain over it, over the prompts of the same model and over the references, so that
    neither a better prompt nor a constant answer counts. A language model that no prompt was
    measured on gains nothing: it may know more.
    """
    read = evidence.diagnosis.arm if evidence.diagnosis else None
    scored = [one for one in evidence.arms if one.score and one is not arm]
    same = [one for one in finalists(evidence, ("prompt",)) if not one.recorded]
    if arm.tool in TRAINED_TOOLS:
        same = untrained_on_same_model(evidence, task)
    bases = sorted((one for one in scored if one.name == read or one.present or one in same),
                   key=lambda one: (one.name != read, not one.present))  # fmt: skip
    if not bases or not (same or arm.tool == "classifier"):
        return 0.0, ""
    rivals = [bases[0], *same, *(one for one in scored if one.role == "reference")]
    pairs = [pair_of(evidence, arm.name, one.name) for one in rivals]
    gain = min(pair.low if pair else 0.0 for pair in pairs)
    lacks = 1 - bases[0].score.low if bases[0].score else 0.0
    return (gain / lacks, bases[0].name) if gain > 0 and lacks else (0.0, "")


def _finding_on_fact_share(read: Diagnosis, share: _FactShare) -> Finding:
    said = _share_text(share)
    acts = _training_acts(read)
    if share.low >= HALF:
        return _finding("no", said, _GIVE_DOCUMENTS, share)
    if share.high >= HALF and share.at_most:
        return _finding(
            "not_measured", f"not measured (no passage was shown); {said}", _GIVE_PASSAGES, share
        )
    if share.high >= HALF:
        need = rows_needed_clause(share, share.n, HALF, HALF, "failures")
        return _finding("not_measured", f"{need}; {said}", "score more rows", share)
    if acts is None:
        because = f"not measured (no training is shown to act on the failures); {said}"
        return _finding("not_measured", because, "let a training arm run", share)
    return _finding("yes", f"{said}, and {ticked(acts)} acts on the failures", "", share)


def _share_text(share: _FactShare) -> str:
    if share.at_most:
        return (
            f"nothing else explains {percent(share.mean)} of {share.n:,} failures (at most"
            f" {percent(share.high)}), so as many may lack a fact"
        )
    within = percent_with_bounds(share, f"n = {share.n:,} failures")
    return f"{within} of the failures that facts or behaviour explain lack a fact"


def _rows_needed_text(read: Diagnosis) -> str:
    """Return a clause on how many scored rows would give enough failures to diagnose."""
    wanted = FEW_FAILURES + 1 if read.n_fail <= FEW_FAILURES else FEW_IF_NONE_ACTS
    rows = ceil((read.n_fail + read.n_pass) * wanted / max(1, read.n_fail))
    return f"too small: needs about {rows:,} scored rows ({read.n_fail} failures are too few)"


_CAUSES_OF_FACTS = ("knowledge", "retrieval")

_CAUSES_OF_BEHAVIOUR = ("format", "convention", "latent", "learnable")

_CAUSES_OF_NEITHER = ("metric", "label")  # causes that are neither facts nor behaviour

_MOST_UNKNOWN, _UNKNOWN_OF_A_TYPE = 0.25, 0.5  # default: shares of unknown facts that are too high

_SMALLEST_PART_DESIGN = Design.independent("only the counts of a finding are stored")


@dataclass(frozen=True)
class _FactShare:
    """The share of facts among the causes of `n` failures, with its 95 % interval.

    `at_most`: no passage was shown, so a failure that no remedy repairs may be a missing fact.
    """

    mean: float
    low: float
    high: float
    n: int
    at_most: bool


def missing_facts_share(found: Diagnosis) -> _FactShare | None:
    """Return the share of missing facts among failures of facts or behaviour; None for neither.

    If a remedy was tried on part of the failures only, the shares are the estimates and the
    interval is that of the smallest such part. If no passage was shown, every failure that nothing
    else explains counts as a missing fact.
    """
    rows = found.estimates or found.wrong
    shares = {row.cause: row.share for row in rows}
    lacks, ways = (
        sum(shares.get(c, 0.0) for c in kinds) for kinds in (_CAUSES_OF_FACTS, _CAUSES_OF_BEHAVIOUR)
    )
    least = min((row.n for row in rows), default=0)
    shown = any(one.remedy in _CAUSES_OF_FACTS and one.n_fail for one in found.effects)
    whole = lacks + ways if shown else 1.0
    n = round(whole * least)
    if not n or not ways + lacks:
        return None
    other = sum(shares.get(cause, 0.0) for cause in _CAUSES_OF_NEITHER)
    mean = lacks / whole if shown else max(0.0, 1 - ways - other)
    share = _SMALLEST_PART_DESIGN.rate(min(n, round(mean * n)), n)
    return _FactShare(mean, share.low if shown else 0.0, share.high, n, not shown)


def _training_acts(found: Diagnosis) -> str | None:
    """Return the name of the training or pilot that acts on the failures; None if none does."""
    return next((e.name for e in found.effects if e.remedy == "learnable" and e.acts), None)


def _unknown_share_if_too_high(known: KnowledgeProbe | None) -> tuple[Proportion, str] | None:
    """Return (share of facts unknown to the model, its rows) if shown too high, else None."""
    if known is None:
        return None
    if known.unknown is not None and known.unknown.low >= _MOST_UNKNOWN:
        return known.unknown, "rows asked"
    for kind, share in sorted(known.by_type.items()):
        if share.low >= _UNKNOWN_OF_A_TYPE:
            return share, f"rows of type {ticked(kind)} asked"
    return None
