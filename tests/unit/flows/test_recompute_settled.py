"""P: a settled verdict is recomputable from its folder alone, and what was changed in it shows."""

import json
import shutil

import pytest
from tests.unit.flows.test_settle import fitted, recorded, said, settled

import tuneworthy
from tuneworthy.cli._frame import run as command
from tuneworthy.flows.settling import open_settling
from tuneworthy.records.errors import TaskError
from tuneworthy.report import results_folder as shelf


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """An open study; for all tests, which copy it."""
    path, gold = recorded(tmp_path_factory.mktemp("study"), success={"margin": 0.095})
    tuneworthy.run(path)
    return path, gold


@pytest.fixture(scope="module")
def made(study, tmp_path_factory):
    home = tmp_path_factory.mktemp("made") / "study"
    shutil.copytree(study[0].parent, home)
    return home / "task.yaml", settled(home / "task.yaml", study[1])


@pytest.fixture
def folder(made, tmp_path):
    """A copy of the settled results alone: no rows, no inputs, no store."""
    for name in ("results.json", "verdict.json"):
        shutil.copy(made[1].folder / name, tmp_path / name)
    return tmp_path


def changed(folder, change):
    whole = json.loads((folder / "results.json").read_text())
    change(whole)
    (folder / "results.json").write_text(json.dumps(whole))


def same(done):
    found = shelf.recompute(done.folder)
    assert (found.differs, found.hash) == ((), done.verdict.evidence_hash)
    assert found.verdict == done.verdict
    return found


def test_a_settled_study_recomputed_from_its_folder_alone_is_the_same(made, folder, capsys):
    path, done = made
    assert done.results.evidence.settled.clicks > 10
    same(done)
    assert (
        "settled pairs" not in shelf.recompute(folder).not_recomputed
    )  # every bound came out again
    assert command(["report", str(folder), "--recompute"]) == 0
    assert command(["report", str(path.parent), "--recompute"]) == 0  # `latest` is the settled one
    assert capsys.readouterr().out.count("recomputed: the same") == 2


def score(whole):
    done = next(run for run in whole["runs"] if run["spec"]["name"] == "tuned")
    done["scores"][3]["value"] = 1.0 - done["scores"][3]["value"]


def choice(whole):
    click = next(one for one in whole["course"]["clicks"][4:] if not one["again"])
    click["choice"] = "left" if click["choice"] == "right" else "right"


def new_answer(whole):
    drawn = next(one for one in whole["course"]["drawn"] if len({
        answer["text"] for answer in one["answers"].values()} | {"warranty"}) == 2)  # fmt: skip
    drawn["answers"]["tuned"]["text"] = "warranty"


def bound(whole):
    for pair in whole["evidence"]["pairs"]:
        pair["high"] = min(pair["high"], 0.01)


@pytest.mark.every(3)
@pytest.mark.parametrize(
    ("change", "where"),
    [
        (score, "evidence/hash"),
        (score, "evidence/arms/"),
        (choice, "evidence/hash"),
        (choice, "evidence/pairs/"),
        (new_answer, "evidence/pairs/"),
        (bound, "evidence/pairs/"),
        (lambda whole: whole["evidence"]["settled"].update(differing=1), "evidence/settled/"),
        (lambda whole: whole["evidence"]["settled"].update(look=1), "evidence/settled/look"),
        (lambda whole: whole["course"].update(looks=2), "evidence/hash"),
        (lambda whole: whole["course"]["drawn"].pop(), "settled: the stored clicks lead to"),
        (lambda whole: whole["course"]["clicks"].pop(), "evidence/settled/clicks"),
    ],
)
def test_whatever_is_changed_in_a_settled_study_shows(folder, change, where):
    changed(folder, change)
    assert any(line.startswith(where) for line in shelf.recompute(folder).differs)


def test_a_settled_study_with_a_changed_score_exits_1(folder):
    changed(folder, score)
    assert command(["report", str(folder), "--recompute"]) == 1


def test_settled_results_without_their_clicks_are_refused_with_what_to_do(folder):
    changed(folder, lambda whole: whole.update(course=None))
    with pytest.raises(TaskError, match="tuneworthy settle"):
        shelf.recompute(folder)


@pytest.mark.parametrize("ends", ["at once", "unasked", "patience", "midway", "in two sessions"])
def test_wherever_it_ended_it_is_recomputed(study, tmp_path, ends):
    shutil.copytree(study[0].parent, tmp_path / "study")
    path, gold = tmp_path / "study" / "task.yaml", study[1]
    if ends == "patience":
        done = settled(path, gold, most=7)
    elif ends == "in two sessions":
        settled(path, gold, stop=6)
        done = settled(path, gold)
    else:
        with open_settling(path) as settling:
            for _ in range({"at once": 0, "unasked": 1, "midway": 5}[ends]):
                question = settling.question()
                if ends == "midway":
                    settling.click(said(question, gold))
            done = settling.finish()
    same(done)


def test_an_arm_that_was_built_for_new_inputs_is_not_built_again(tmp_path):
    path, gold = fitted(tmp_path)
    tuneworthy.run(path)
    same(settled(path, gold))


def test_preferences_are_recomputed(tmp_path):
    path, gold = recorded(
        tmp_path, output={"type": "text"}, success={"metric": "token_f1", "margin": 0.10}
    )
    tuneworthy.run(path)
    done = settled(path, gold)
    assert done.results.evidence.settled.points == "preference"
    same(done)


def test_settled_pairs_are_taken_where_the_metric_is_the_users_own(tmp_path, capsys):
    (tmp_path / "own.py").write_text(
        "def score(case, answer):\n    return float(answer.strip() == case['output'])\n"
    )
    path, gold = recorded(tmp_path, success={"metric": "./own.py:score", "margin": 0.095})
    tuneworthy.run(path)
    done = settled(path, gold)
    (tmp_path / "own.py").unlink()
    assert same(done).not_recomputed[:2] == ("scores", "settled pairs")
    assert command(["report", str(done.folder), "--recompute"]) == 0
    assert "Taken as stored: scores, settled pairs" in capsys.readouterr().out
    alone = tmp_path / "alone"  # beside its ledger a change is refused
    shutil.copytree(done.folder, alone)
    changed(alone, score)
    found = shelf.recompute(alone).differs
    assert any(line.startswith("evidence/hash") for line in found)
    assert any(line.startswith("evidence/arms/") for line in found)
