"""Study folders that are damaged, half written or of somebody else: one of them hides no other."""

import html
import os
import re
import socket

import pytest
from study_kit import HASH, KEY, RESULTS, finished, running

from tuneworthy.lab.studies import find_study
from tuneworthy.lab.study_pages import run_snapshot
from tuneworthy.store.place import HOME_FOLDER, STORE_FILE
from tuneworthy.store.store import open_ledger
from tuneworthy.verdict.decide import standing_so_far
from tuneworthy.verdict.rungs import policy_of

HOST = socket.gethostname()


def text_of(reply):
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", reply.text)))


def test_pages_copy_a_damaged_ledger_once(browser, tmp_path):
    """Each opening of a damaged ledger made a copy: pages that reload filled the disk."""
    finished(tmp_path)
    store = tmp_path / HOME_FOLDER / STORE_FILE
    for content, copies in ((b"SQLite format 3\0" + b"x" * 5000, 1), (b"other" * 500, 2)):
        store.write_bytes(content)
        os.utime(store, ns=(copies, copies))
        for _ in range(3):
            assert browser.get("/studies").status_code == 200
            assert browser.get(f"/study/{KEY}/run").status_code == 200
        kept = list((tmp_path / HOME_FOLDER / "quarantine").iterdir())
        assert len(kept) == copies
        assert content in [each.read_bytes() for each in kept]


@pytest.mark.parametrize(
    "left",
    [
        f'{{"host": "{HOST}", "pid": "x"}}',
        f'{{"host": "{HOST}"}}',
        f'{{"host": "{HOST}", "pid": 1, "started": "x"}}',
        f'{{"host": "{HOST}", "pid": 99999999999999999999, "started": 1e999}}',
        '{"host": "another", "since": "2026-01-01"}',
        '{"host": "another", "since": "yesterday"}',
        "[" * 3000,
    ],
)
def test_a_lock_that_something_else_wrote_holds_nobody_up(browser, tmp_path, left):
    with running(tmp_path):
        pass
    (tmp_path / HOME_FOLDER / "lock").write_text(left)
    assert "tickets" in text_of(browser.get("/studies"))
    assert run_snapshot(find_study(tmp_path, KEY))["state"] == "stopped"
    (tmp_path / HOME_FOLDER / "lock").unlink()
    (tmp_path / HOME_FOLDER / "lock").mkdir()
    assert browser.get("/studies").status_code == 200


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("step", {"use": None, "arms": [{"name": 1, "score": {"mean": "x"}}]}),
        ("step", {"left": "many"}),
        ("step", {"arms": 5}),
        ("step", {"arms": [{"score": {"mean": 1}}]}),
        ("arm", {"arm": "one", "total": "x"}),
    ],
)
def test_events_of_another_version_are_said_to_be_so(browser, tmp_path, kind, value):
    with running(tmp_path):
        pass
    with open_ledger(tmp_path) as ledger:
        ledger.log(HASH, kind, value)
    assert browser.get("/studies").status_code == 200
    assert "another version" in text_of(browser.get(f"/study/{KEY}/run"))
    live = run_snapshot(find_study(tmp_path, KEY))
    assert (live["state"], live["arms"], live["ladder"]) == ("stopped", [], [])


def test_the_arm_at_which_a_study_was_stopped_is_not_done(browser, tmp_path):
    with running(tmp_path):
        pass
    rows = run_snapshot(find_study(tmp_path, KEY))["arms"]
    assert [row["state"] for row in rows] == ["done", "done", "left out", "stopped"]
    with running(tmp_path) as tell:  # stopped after an arm, before the next one
        tell("step", standing_so_far(RESULTS.evidence, policy_of(RESULTS.task), False))
    assert run_snapshot(find_study(tmp_path, KEY))["arms"][-1]["state"] == "done"
    with running(tmp_path):
        pass
    finished(tmp_path)
    rows = run_snapshot(find_study(tmp_path, KEY))["arms"]
    assert rows[-1]["state"] == "done"
