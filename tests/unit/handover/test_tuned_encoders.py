"""A tuned text encoder is built, asked again, opened and served as it was measured."""

import json
import shutil
from pathlib import Path

import pytest
from tests import studies
from tests.tiny import tiny_bert

from tuneworthy.flows import study
from tuneworthy.flows.identity import input_digests
from tuneworthy.flows.session import open_session
from tuneworthy.handover import building
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.handover.system import open_artefact
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import ModelError
from tuneworthy.report.results_folder import find_results, read_results

ASKED = [Query(id=f"q{n}", messages=(Message(role="user", content=row["input"]),))
         for n, row in enumerate(studies.rows(12, seed=5))]  # fmt: skip
ENCODER = {"encoder": {"model": "hf:./bert", "epochs": 6, "rate": 1e-3}}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    home = tmp_path_factory.mktemp("study")
    path = studies.write(home, 60, arms=["majority", "tfidf", ENCODER])
    tiny_bert(home / "bert")
    study.run(path)
    return path


def encoder_runs(task):
    runs = read_results(find_results(task.parent)).runs
    return [run for run in runs if run.spec.arm == "encoder"]


@pytest.fixture(scope="module")
def report(task):
    return build(task, options=BuildOptions(arm=encoder_runs(task)[0].spec.name))


def test_it_is_measured_on_every_row_and_shows_its_loss(task):
    runs = encoder_runs(task)
    assert {run.state for run in runs} == {"measured"}
    assert sum(len(run.answers) for run in runs) == 60
    assert all(run.trace["steps"] for run in runs)
    page = (find_results(task.parent) / "report.html").read_text("utf-8")
    assert "How did training go?" in page


def test_the_artefact_holds_no_pickle_and_answers_as_the_arm(report):
    folder = Path(report.folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"encoder/model.safetensors", "encoder/head.safetensors", "encoder/head.json"} <= files
    assert not [name for name in files if Path(name).suffix in (".bin", ".pkl", ".pt", ".skops")]
    (parity,) = report.parity
    assert not report.refused
    assert (parity.form, parity.equal) == ("artefact", parity.asked == 60 and 60)
    assert parity.engine.startswith("transformers ")
    card = (folder / "README.md").read_text("utf-8")
    assert "The text encoder `hf:./bert`, tuned, with a linear head." in card
    assert 'library_name: "transformers"' in card


def test_it_is_served_with_all_probabilities(report):
    system = open_artefact(Path(report.folder))
    answers = system.answer(ASKED)
    assert [a.case for a in answers] == [q.id for q in ASKED]
    assert all(sum(a.labels.values()) == pytest.approx(1, abs=1e-5) for a in answers)
    assert system.prompts(ASKED) is None
    assert sum(a.text == row["output"] for a, row in
               zip(answers, studies.rows(12, seed=5), strict=True)) > 6  # fmt: skip


@pytest.mark.parametrize("name", ["head.safetensors", "head.json", "model.safetensors"])
def test_a_changed_file_is_refused(name, report, tmp_path):
    folder = tmp_path / Path(report.folder).name
    shutil.copytree(report.folder, folder)
    file = folder / "encoder" / name
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="not the one that was built"):
        open_artefact(folder)
    manifest = json.loads((folder / "artefact.json").read_text("utf-8"))
    assert f"encoder/{name}" in manifest["files"]


def test_another_encoder_in_the_same_folder_makes_another_study(tmp_path):
    path = studies.write(tmp_path, 60, arms=["majority", ENCODER])
    tiny_bert(tmp_path / "bert")

    def digests():
        with open_session(path, building.RunOptions()) as session:
            return input_digests(session.loaded)

    before = digests()
    assert before == digests()
    shutil.rmtree(tmp_path / "bert")
    tiny_bert(tmp_path / "bert", seed=1)
    changed = {name for name, own in digests().items() if before.get(name) != own}
    assert changed == {"model hf:./bert"}
