"""Judge whether examples are consistent and numerous, by counts of rows without bounds."""

from __future__ import annotations

from tuneworthy.core.counting import count_noun, percent
from tuneworthy.core.evidence import Evidence
from tuneworthy.questions._shown import unmeasured

LEAST_EXAMPLES, LEAST_OF_A_CLASS = 50, 10  # default: the fewest rows, and rows of a class
MOST_CONTRADICTING = 0.02  # default: share of rows that contradict another row
LEAST_ONE_FORM = 0.98  # default: share of answers in the most frequent form
PartialFinding = tuple[str, str, str]
"""(answer, because, next) of a finding."""


def contradictory_rows(evidence: Evidence) -> PartialFinding | None:
    """Return a no if too many of all rows contradict another, else None."""
    share = evidence.soundness.contradictions if evidence.soundness else None
    if share is None or share.share <= MOST_CONTRADICTING:
        return None
    many = f"{share.k:,} of {share.n:,} rows ({percent(share.share)}) contradict another row"
    return "no", many, "correct the contradictory rows that `tuneworthy check` lists"


def too_few_rows(evidence: Evidence) -> PartialFinding | None:
    """Return a no if too few rows, or rows of one class, are there to learn from, else None."""
    if evidence.train is not None and evidence.train < LEAST_EXAMPLES:
        many = f"{count_noun(evidence.train, 'row')} to learn from, fewer than {LEAST_EXAMPLES}"
        return "no", many, f"collect {LEAST_EXAMPLES - evidence.train} or more rows"
    fewest = evidence.soundness.fewest_of_a_class if evidence.soundness else None
    if fewest is not None and fewest < LEAST_OF_A_CLASS:
        many = f"one class has {count_noun(fewest, 'row')}, fewer than {LEAST_OF_A_CLASS}"
        return "no", many, f"collect rows of the rare classes, {LEAST_OF_A_CLASS} or more of each"
    return None


def require_consistency(evidence: Evidence, said: PartialFinding | None) -> PartialFinding | None:
    """Return the given finding, a yes only if the contradictory rows were counted."""
    if said is None or said[0] != "yes":
        return said
    sound = evidence.soundness
    if sound is None or sound.contradictions is None:
        missing = sound.missing if sound else evidence.missing
        field = "contradictions" if sound else "soundness"
        why = unmeasured(missing, field, "how many rows contradict another")
        return "not_measured", f"{said[1]}; {why}", "run `tuneworthy check`"
    form = sound.one_form
    if form is None or form.share >= LEAST_ONE_FORM:
        return said
    mixed = f"{said[1]}; but only {percent(form.share)} of {form.n:,} answers have one form"
    return "yes", mixed, "bring the answers into one form"
