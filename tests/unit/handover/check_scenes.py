"""A live check in which nothing changed, and the measures that change it."""

from tuneworthy.handover import live_answers
from tuneworthy.handover.conclusion import ERROR_SHARES
from tuneworthy.matrix.design import Design
from tuneworthy.matrix.two_samples import independent_difference
from tuneworthy.records.interval import Interval
from tuneworthy.records.live_check import (
    Expiry,
    InputDrift,
    LabelDrift,
    LiveCheck,
    LiveMean,
    LiveSpread,
    MovedFacts,
    UnlikeInputs,
)


def share_of(k, n, level):
    """Return the share of k of n independent requests."""
    return live_answers.share_of({at: at < k for at in range(n)}, Design(), level)


def interval(mean, low, high):
    return Interval(mean=mean, low=low, high=high)


def mean(now, then=None, n=200, half=0.05, level=0.005):
    """Return a mean in the log beside the study's, each with bounds `half` away."""
    one = (now, max(0, now - half), min(1, now + half))
    two = None if then is None else (then, max(0, then - half), min(1, then + half))
    gap = independent_difference(one, two) if two else None
    return LiveMean(
        n_now=n, now=interval(*one), n_then=300 if two else 0, then=two and interval(*two),
        difference=gap and interval(*gap), level=level, because="" if two else "no study",
    )  # fmt: skip


def drift(p, moved=(0.3, 0.2, 0.4)):
    return InputDrift(n_then=300, n_now=200, units_then=300, units_now=200, auc=0.5 + moved[0] / 2,
                      p=p, level=ERROR_SHARES["inputs"], moved=interval(*moved))  # fmt: skip


def labels(p, distance=(0.2, 0.1, 0.3)):
    return LabelDrift(n_then=300, n_now=200, then={"a": 0.5, "b": 0.5}, now={"a": 0.3, "b": 0.7},
                      distance=interval(*distance), p=p, level=ERROR_SHARES["labels"])  # fmt: skip


def unlike(k, n=200):
    return UnlikeInputs(share=share_of(k, n, 0.025), expected=0.01, lines=(7, 3))


def facts(k, n=200, old=0):
    return MovedFacts(
        share=share_of(k, n, ERROR_SHARES["facts"]), since="2026-01-01", lines=(4,), old=old,
        new=k - old, stale=share_of(old, n, ERROR_SHARES["facts"]) if k else None,
    )  # fmt: skip


def spread():
    return LiveSpread(unit="characters", n_then=300, n_now=200, median_then=8, median_now=9,
                      p95_then=20, p95_now=None, distance=0.1, p=0.2)  # fmt: skip


def check(**changes):
    """Return a check of a tuned arm in use in which nothing changed."""
    usual = {
        "log": "live.jsonl", "requests": 200, "used": 200, "first_time": "2026-02-01T00:00:00",
        "last_time": "2026-02-02T00:00:00", "bad_lines": 0, "bad": (), "others": 0,
        "without_input": 0, "without_answer": 0, "models": {"tune-1f": 200}, "study": "0a1b2c3d",
        "made": "2026-01-01T00:00:00+00:00", "arm": "lora", "tool": "tune", "learns": True,
        "learnt_rows": 400, "reads_docs": False, "margin": 0.05, "valid_limit": None,
        "p95_limit": None, "stale_ok": 0.05, "valid": mean(0.97, 0.98), "inputs": drift(0.4),
        "unlike": unlike(2), "labels": labels(0.5), "facts": facts(1), "length": spread(),
        "latency": None, "score": None, "slow": None,
        "expiry": Expiry(day="2026-06-01", because="facts go stale"),
        "missing": {"score": "no request has a right answer"},
    }  # fmt: skip
    return LiveCheck.model_validate({**usual, **changes})
