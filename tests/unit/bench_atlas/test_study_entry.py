"""An entry made from a user's study has the version, the day and the rows of that study."""

import json
import os
import shutil
from datetime import UTC, date, datetime

import pytest
from bench.atlas.atlas_map import choose_arm, verdict_bound_text
from bench.atlas.check_entry import check_entry
from bench.atlas.scoring import judge_answer, outcome
from bench.atlas.study_entry import entry_of_study
from tests import studies

from tuneworthy.flows.study import run
from tuneworthy.records.errors import DataError, StoreError
from tuneworthy.records.run import RunOptions

LONG_AGO = date(2022, 1, 8)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    arms = ["majority", "zero_shot"]
    path = studies.write(tmp_path_factory.mktemp("study"), arms=arms, present=None)
    return run(path, RunOptions(brief=True)).folder


def entry_of(folder):
    return entry_of_study(folder, None, None, False, False)


def copy_of(folder, tmp_path):
    """Return the study's folder in a copy of its home."""
    home = shutil.copytree(folder.parent.parent, tmp_path / "home")
    return home / "results" / folder.name


def test_the_day_is_that_of_scoring_not_of_the_results_file(study, tmp_path):
    folder = copy_of(study, tmp_path)
    seconds = datetime(2022, 1, 8, 12, tzinfo=UTC).timestamp()
    os.utime(folder / "results.json", (seconds, seconds))
    assert entry_of(folder).card.measured == entry_of(study).card.measured > LONG_AGO
    shutil.rmtree(folder.parent.parent / ".tuneworthy")
    assert entry_of(folder).card.measured == LONG_AGO  # nothing else is known


def test_the_version_is_the_one_that_measured(study, tmp_path):
    path = copy_of(study, tmp_path) / "results.json"
    told = json.loads(path.read_text("utf-8"))
    told["reproduce"]["tuneworthy"] = "0.0.9"
    path.write_text(json.dumps(told), "utf-8")
    with pytest.raises(StoreError, match="not those that the ledger holds"):
        entry_of(path.parent)
    shutil.rmtree(path.parents[2] / ".tuneworthy")
    assert entry_of(path.parent).version == "0.0.9"


def test_rows_to_learn_from_are_the_study_s_or_none(study, tmp_path):
    """A folder's rows may be others by now, private ones among them."""
    folder = copy_of(study, tmp_path)
    shown = entry_of(folder).card.shown
    known = {row["input"]: row["output"] for row in studies.rows(60)}
    assert len(shown) == 10
    assert all(known[row.input] == row.output for row in shown)
    other = [{**row, "input": f"private: {row['input']}"} for row in studies.rows(60)]
    studies.lines(folder.parent.parent / "rows.jsonl", other)
    entry = entry_of(folder)
    assert entry.card.shown == ()
    assert check_entry(entry) == 120


def test_a_recorded_system_whose_tool_is_not_given_can_win_and_is_no_reference(tmp_path):
    """Its verdict is `other`; the entry of such a study was refused."""
    path = studies.write(tmp_path / "a", n=200, arms=["answers", "majority", "zero_shot"],
                         present=None, answers={"ours": {"file": "ours.jsonl"}})  # fmt: skip
    logged = [{"id": row["id"], "answer": row["output"]} for row in studies.rows(200)]
    studies.lines(path.parent / "ours.jsonl", logged)
    entry = entry_of(run(path, RunOptions(brief=True)).folder)
    assert (entry.card.use, entry.card.arm) == ("other", "ours")
    assert check_entry(entry) == 600
    wrong = entry.card.model_copy(update={"use": "prompt"})
    with pytest.raises(DataError, match="not the winner's"):
        check_entry(entry.model_copy(update={"card": wrong}))


def test_seconds_of_recorded_answers_are_not_those_of_this_machine(tmp_path):
    """The log says 0.1 s an answer; the map ranked them with seconds that were measured here."""
    path = studies.write(tmp_path / "a", arms=["present", "majority", "tfidf"])
    arms = {a.name: a for a in entry_of(run(path, RunOptions(brief=True)).folder).card.arms}
    assert arms["present"].seconds is None
    assert arms["tfidf"].seconds > 0


def test_two_studies_of_a_long_name_have_two_keys(study, tmp_path):
    homes = [copy_of(study, tmp_path / name) for name in ("a", "b")]
    folders = [home.rename(home.with_name(f"{'long' * 20}-{at}")) for at, home in enumerate(homes)]
    assert len({entry_of(folder).card.key for folder in folders}) == 2


def test_an_arm_that_breaks_a_limit_is_named_by_no_view_and_right_for_no_adviser(tmp_path):
    """The verdict is firm for what runs today (.82); the slow arm scores 1.00 and can't be used."""
    limits = {"limits": {"p95_ms": 1000}}
    path = studies.write(tmp_path / "a", n=200, arms=["present", "answers", "majority"],
                         answers={"ours": {"file": "ours.jsonl", "tool": "tune"}},
                         success=limits)  # fmt: skip
    logged = [{"id": r["id"], "answer": r["output"], "seconds": 5.0, "usd": 0.0001}
              for r in studies.rows(200)]  # fmt: skip
    studies.lines(path.parent / "ours.jsonl", logged)
    entry = entry_of(run(path, RunOptions(brief=True)).folder)
    card = entry.card
    check_entry(entry)
    arms = {arm.name: arm for arm in card.arms}
    assert (card.use, card.status) == ("keep", "firm")
    assert arms["ours"].breaks_limits == ("p95_ms",)
    assert arms["present"].behind is None
    assert arms["ours"].behind.high < 0
    assert (outcome("keep", card), outcome("tune", card)) == ("right", "wrong")
    told = judge_answer({"tune": 1.0}, card)
    assert (told.lost, told.needless) == (None, True)
    assert judge_answer({"keep": 1.0}, card).lost == 0
    assert choose_arm(card).arm.name == "present"
    assert choose_arm(card, "usd").arm is None
    assert verdict_bound_text(card) == "no other measured arm that keeps the limits is better"
