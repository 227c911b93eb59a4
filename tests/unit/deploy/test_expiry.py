"""When an artefact expires: by its facts where it keeps them, by its model where that ends."""

from datetime import date
from types import SimpleNamespace

import pytest

from tuneworthy.core.interval import Interval
from tuneworthy.deploy.expiry import expiry

TODAY = date(2026, 1, 1)
DAYS = SimpleNamespace(days=Interval(mean=60.0, low=30.9, high=90.0))


@pytest.mark.parametrize(
    ("tool", "ends", "stale", "expected"),
    [
        ("tune", None, DAYS, "2026-01-31"),
        ("classifier", None, DAYS, "2026-01-31"),
        ("prompt", None, DAYS, None),
        ("tune", None, None, None),
        ("tune", None, SimpleNamespace(days=None), None),
        ("bigger", "2026-01-10", None, "2026-01-10"),
        ("tune", "2026-01-10", DAYS, "2026-01-10"),
        ("tune", "2026-03-10", DAYS, "2026-01-31"),
        ("tune", None, SimpleNamespace(days=Interval(mean=9e9, low=9e9, high=9e9)), "2125-12-08"),
    ],
)
def test_the_earlier_end_counts(tool, ends, stale, expected):
    arm, evidence = SimpleNamespace(tool=tool, expires=ends), SimpleNamespace(staleness=stale)
    assert expiry(evidence, arm, TODAY) == expected
