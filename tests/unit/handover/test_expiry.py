"""When a study was made, from which expiry counts (its rule: test_live_facts)."""

from tuneworthy.handover.artefact_folder import opened_at

DOORS = [
    {"at": "2026-03-01T00:00:00", "purpose": "compare"},
    {"at": "2026-01-01T00:00:00", "purpose": "score"},
    {"at": "2026-02-01T00:00:00", "purpose": "compare"},
]


def test_a_study_was_made_when_it_first_compared_its_rows():
    assert opened_at(DOORS) == "2026-02-01T00:00:00"
    assert opened_at(DOORS[1:2]) is None
