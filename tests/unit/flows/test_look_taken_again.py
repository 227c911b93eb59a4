"""A look that was given back and then taken counts: later studies of these rows pay for it."""

from types import SimpleNamespace

import pytest

from tuneworthy.flows.look_count import charge_look
from tuneworthy.records.run import Run, Spec
from tuneworthy.store.elsewhere import LOOKS_VARIABLE, next_look, record_look
from tuneworthy.store.store import open_ledger

ROWS, MARKS = "rows", [f"{i:012x}" for i in range(100)]


def runs(state, *names):
    return [Run(spec=Spec(name=name, arm="zero_shot"), seed=0, fold=0, state=state,
                because="broken" if state == "failed" else "") for name in names]  # fmt: skip


def charge(ledger, study, rows, runs):
    session = SimpleNamespace(
        ledger=ledger, study=study, split=SimpleNamespace(groups={}),
        sealed=SimpleNamespace(open=lambda door: {}),
        scored_rows_identity=lambda: (rows, MARKS),
    )  # fmt: skip
    charge_look(session, runs)


@pytest.fixture
def other_folder(tmp_path, monkeypatch):
    """Return the look that a study in another folder of the same user would be."""
    monkeypatch.delenv(LOOKS_VARIABLE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return lambda: next_look(None, "elsewhere", ROWS, MARKS).look


def test_a_study_that_compares_after_all_counts_again(tmp_path, other_folder):
    """Its arms failed, so it gave its look back; repaired, it compared them on the same rows."""
    with open_ledger(tmp_path) as ledger:
        assert record_look(ledger, "first", ROWS, MARKS).look == 1
        charge(ledger, "first", ROWS, runs("failed", "a", "b"))
        assert record_look(ledger, "second", ROWS, MARKS).look == 1
        assert other_folder() == 2
        for _ in range(2):  # the second run of these is the same study, resumed
            assert record_look(ledger, "first", ROWS, MARKS).look == 2
            charge(ledger, "first", ROWS, runs("measured", "a", "b"))
        assert record_look(ledger, "third", ROWS, MARKS).look == 3
        assert other_folder() == 4


def test_a_study_that_never_compares_stays_uncounted(tmp_path, other_folder):
    with open_ledger(tmp_path) as ledger:
        for _ in range(2):
            record_look(ledger, "first", ROWS, MARKS)
            charge(ledger, "first", ROWS, runs("failed", "a", "b"))
        assert record_look(ledger, "second", ROWS, MARKS).look == 1
        assert other_folder() == 2
