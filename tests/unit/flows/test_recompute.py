"""P: the decision record is recomputable offline, and what was changed in it shows."""

import json
import subprocess
import sys

import pytest
from tests import studies

import tuneworthy
from tuneworthy.cli._frame import run
from tuneworthy.records.errors import TaskError
from tuneworthy.records.reason import NO_ROOM
from tuneworthy.report import results_folder as shelf
from tuneworthy.report.exports import verdict_json


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tuneworthy.run(studies.write(tmp_path_factory.mktemp("recompute")))


@pytest.fixture
def folder(made, tmp_path):
    """A copy of the results alone: no rows, no task file, no store, no model."""
    for name in ("results.json", "verdict.json"):
        (tmp_path / name).write_bytes((made.folder / name).read_bytes())
    return tmp_path


def changed(folder, change):
    whole = json.loads((folder / "results.json").read_text())
    change(whole)
    (folder / "results.json").write_text(json.dumps(whole))


def test_a_study_recomputed_from_its_folder_alone_is_the_same(folder, made, capsys):
    found = shelf.recompute(folder)
    assert found.differs == ()
    assert found.hash == made.verdict.evidence_hash
    assert found.verdict == made.verdict
    assert found.rescored == sum(len(r.answers) for r in made.results.runs)
    assert (
        "diagnosis" not in found.not_recomputed
    )  # every labelled row was scored: it is read again too
    assert {"soundness", "curves"} <= set(found.not_recomputed)  # measured beside the matrix
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert run(["report", str(folder), "--recompute"]) == 0
    assert "recomputed: the same" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_one_changed_score_is_found(folder, capsys):
    def flip(whole):
        done = next(run for run in whole["runs"] if run["spec"]["name"] == "tfidf")
        done["scores"][3]["value"] = 1.0 - done["scores"][3]["value"]

    changed(folder, flip)
    found = shelf.recompute(folder)
    assert found.differs[0].startswith("tfidf, case ")
    assert any(line.startswith("evidence/hash") for line in found.differs)
    assert any(line.startswith("evidence/arms/") for line in found.differs)
    assert run(["report", str(folder), "--recompute"]) == 1
    assert run(["report", str(folder), "--recompute", "--json"]) == 1
    told = json.loads(capsys.readouterr().out.split("\n{", 1)[-1].join(["{", ""]))
    assert told["same"] is False
    assert any("verdict.json" in line for line in told["differs"])


@pytest.mark.every(3)
@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda w: w["runs"][0]["answers"][0].update(text="something else"), "evidence/hash"),
        (lambda w: w["evidence"]["pairs"][0].update(low=-0.5), "evidence/pairs/0/low"),
        (lambda w: w["verdict"].update(status="firm", use="tune"), "verdict/use"),
        (lambda w: w["policy"].update(margin=0.2), "policy/margin"),
        (lambda w: w["split"]["parts"][0].update(train=[]), "evidence/"),
        (lambda w: w["cases"][0].update(output="warranty "), "evidence/hash"),
    ],
)
def test_whatever_is_changed_shows(folder, change, where):
    changed(folder, change)
    assert any(line.startswith(where) for line in shelf.recompute(folder).differs)


def test_what_an_arm_left_out_would_take_is_read_from_the_plan(folder):
    def left_out(whole):
        run = next(run for run in whole["runs"] if run["spec"]["name"] == "tfidf")
        spec = {**run["spec"], "name": "another"}
        whole["plan"]["arms"].append({"spec": spec, "minutes": 5.5, "because": NO_ROOM.plain()})
        whole["runs"].append(
            {"spec": spec, "seed": 0, "fold": None, "state": "skipped", "because": NO_ROOM.plain()}
        )
        blank = whole["evidence"]["arms"][0]
        whole["evidence"]["arms"].append({**blank, "name": "another"})

    changed(folder, left_out)
    told = [line for line in shelf.recompute(folder).differs if "more_minutes" in line]
    assert [line.partition(": ")[2] for line in told] == ["stored None, recomputed 5.5"]


def test_a_verdict_file_that_was_edited_shows_by_its_bytes(folder):
    path = folder / "verdict.json"
    path.write_text(path.read_text() + " ")
    assert shelf.recompute(folder).differs == ("verdict.json differs from what was recomputed",)
    path.unlink()
    assert shelf.recompute(folder).differs == ("verdict.json is not there",)


def test_questions_are_asked_again(folder):
    from tuneworthy.records.verdict import Finding

    known = Finding(name="enough_data", answer="yes", because="it is so", next="")
    found = shelf.recompute(folder, lambda evidence, task: (known,))
    assert any(line.startswith("verdict/questions/0/answer") for line in found.differs)


def test_results_without_folds_or_policy_are_refused_with_what_to_do(folder):
    for key in ("split", "policy"):
        changed(folder, lambda whole, key=key: whole.update({key: None}))
        with pytest.raises(TaskError, match="tuneworthy run"):
            shelf.recompute(folder)


def test_recomputing_loads_no_torch(folder):
    code = (
        "import sys; from tuneworthy.cli._frame import run;"
        f"code = run(['report', {str(folder)!r}, '--recompute']);"
        "print(code, sorted({'torch', 'transformers', 'openai'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "0 []"


def test_without_a_metric_the_diagnosis_is_taken_as_stored(made):
    from tuneworthy.verdict.recompute import _taken_as_stored

    assert _taken_as_stored(made.results, None)[:2] == ("scores", "diagnosis")


def test_a_metric_that_sees_all_answers_of_an_arm_together_is_asked_so_again(tmp_path):
    ids = range(60)
    rows = [{"id": f"r{i}", "input": f"ask {i} ?", "output": f"Dear all, fact {i}!"} for i in ids]
    studies.lines(tmp_path / "rows.jsonl", rows)
    said = {"a": "Dear all, fact {} holds!", "b": "fact: {}"}
    for name, text in said.items():
        logged = [{"id": f"r{i}", "answer": (said["a"] if i % 2 else text).format(i)} for i in ids]
        studies.lines(tmp_path / f"{name}.jsonl", logged)
    (tmp_path / "task.yaml").write_text(json.dumps({
        "name": "styled", "data": {"file": "rows.jsonl"}, "output": {"type": "text"},
        "success": {"metric": "style_match+token_f1"}, "arms": ["answers"], "seeds": 1,
        "answers": {"a": {"file": "a.jsonl", "tool": "bigger"},
                    "b": {"file": "b.jsonl", "tool": "prompt"}},
    }))  # fmt: skip
    found = shelf.recompute(tuneworthy.run(tmp_path / "task.yaml").folder)
    assert (found.differs, found.rescored) == ((), 120)


def reworded(whole):
    """Give sentences of a stored study other words, as an earlier build did."""
    whole["verdict"]["because"] = "Another build says so."
    whole["verdict"]["next"]["why"] = "It said why."
    whole["verdict"]["questions"][0]["because"] = "It answered so."
    for missing in (whole["verdict"]["missing"], whole["evidence"]["arms"][0]["missing"]):
        missing[sorted(missing)[0]] = "it was not measured then"
    whole["runs"][0]["scores"][0]["why"] = "it equals the right one"


def test_wording_of_another_build_is_no_difference(folder, capsys):
    changed(folder, reworded)
    own = shelf.recompute(folder).hash  # of its reasons of scores

    def hashed(whole):
        whole["evidence"]["hash"] = whole["verdict"]["evidence_hash"] = own

    changed(folder, hashed)
    again = shelf.read_results(folder)
    text = verdict_json(again.verdict) + "\n"
    (folder / "verdict.json").write_text(text)  # as that build wrote it
    found = shelf.recompute(folder)
    assert (found.differs, len(found.wording)) == ((), 6)
    assert run(["report", str(folder), "--recompute"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "recomputed: the same scores, bounds and names; only the wording differs" in told
    assert "6 sentences have other words, as those of another build have:" in told
    assert "- verdict/because: stored 'Another build says so.', recomputed" in told
    assert run(["report", str(folder), "--recompute", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert (whole["same"], whole["differs"], len(whole["wording"])) == (False, [], 6)
    (folder / "verdict.json").write_text(text.replace("It said why.", "Use lora."))
    assert run(["report", str(folder), "--recompute"]) == 1  # nobody's verdict has these words


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w["verdict"].update(arm="lora"),
        lambda w: w["verdict"]["next"].update(do="use it"),
        lambda w: w["verdict"].update(because=""),
        lambda w: w["evidence"]["arms"][0]["missing"].popitem(),
        lambda w: w["runs"][0]["scores"][0].update(value=0.25, why="it equals the right one"),
    ],
)
def test_a_name_a_number_or_a_sentence_left_out_stays_a_difference(folder, change):
    changed(folder, lambda whole: (reworded(whole), change(whole)))
    assert shelf.recompute(folder).differs
    assert run(["report", str(folder), "--recompute"]) == 1
