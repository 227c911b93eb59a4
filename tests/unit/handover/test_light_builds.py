"""Builds of arms without training: written, asked again, opened, resumed, refused."""

import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
from tests import studies

from tuneworthy.arms._classified import tfidf_pipeline
from tuneworthy.flows import study
from tuneworthy.flows.session import open_session
from tuneworthy.handover import building
from tuneworthy.handover import system as classifier_file
from tuneworthy.handover.artefact_folder import MANIFEST_FILE, find_artefact, read_artefact, upload
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.handover.system import open_artefact
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import ModelError, SecurityError, TaskError
from tuneworthy.records.record import file_sha256
from tuneworthy.report.results_folder import find_results, read_results

CASCADE = "cascade(least=0.6)"
ARMS = ["present", "majority", "tfidf", "zero_shot", "few_shot", "nearest_shots", "constrained",
        {"cascade": {"least": 0.6}}]  # fmt: skip
DEPLOYED = [*ARMS[2:-1], CASCADE]
ASKED = [Query(id=f"q{n}", messages=(Message(role="user", content=row["input"]),))
         for n, row in enumerate(studies.rows(12, seed=5))]  # fmt: skip


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = studies.write(tmp_path_factory.mktemp("study"), 60, arms=ARMS)
    study.run(path)
    return path


@pytest.fixture(scope="module")
def built(task):
    pytest.importorskip("skops")
    return {arm: build(task, options=BuildOptions(arm=arm)) for arm in DEPLOYED}


@pytest.mark.parametrize("arm", DEPLOYED)
def test_an_opened_artefact_answers_as_the_fitted_arm(arm, built, task):
    report = built[arm]
    system = open_artefact(building.Path(report.folder))
    with open_session(task, building.RunOptions()) as session:
        runner = replace(session.runner(), runs=session.finished().runs)
        made = building.DeployedArm(runner, runner.runs, arm, 0, {}, everything=True)
        there = [(a.text, a.prompt, a.labels) for a in made.fitted.answer(ASKED)]
    assert [(a.text, a.prompt, a.labels) for a in system.answer(ASKED)] == there
    assert system.answer([]) == []
    assert (system.model is None) == (arm == "tfidf")
    if system.model is None:
        assert system.prompts(ASKED) is None
    else:
        asked = [(tuple(p), sent) for p, (_, sent, _) in zip(system.prompts(ASKED), there,
                                                             strict=True)]  # fmt: skip
        assert all(sent in (prompt, ()) for prompt, sent in asked)
        assert any(sent == () for _, sent in asked) == (arm == CASCADE), "it asks only the unsure"


def test_every_form_was_asked_again(built):
    for arm, report in built.items():
        assert not report.refused, arm
        assert report.parity[0].asked == report.parity[0].equal == 60
        assert not report.parity[0].failed
    assert built["tfidf"].parity[0].difference.mean == 0
    assert built["tfidf"].parity[0].excluded is False, "60 equal answers exclude no drop of .05"
    assert built["few_shot"].parity[0].difference is None, "nothing was sent"


def test_all_rows_are_learnt_from(built):
    assert built["tfidf"].rows == 60, "it chooses nothing on dev rows"
    assert 40 < built["few_shot"].rows < 60, "dev rows stay apart"


def test_a_build_that_ran_is_not_run_again(built, task, monkeypatch):
    asked = []
    monkeypatch.setattr("tuneworthy.models.scripted.Scripted._reply_to", lambda *a: asked.append(a))
    again = build(task, options=BuildOptions(arm="zero_shot"))
    assert not asked
    assert again.artefact.id == built["zero_shot"].artefact.id
    assert again.parity == built["zero_shot"].parity


def test_a_plan_writes_nothing(task):
    before = sorted((task.parent / "build").glob("*"))
    report = build(task, options=BuildOptions(arm="zero_shot", dry=True))
    assert report.planned
    assert not report.folder
    assert {form.form for form in report.forms if not form.because} == {"card", "prompt", "schema"}
    assert sorted((task.parent / "build").glob("*")) == before


def test_no_case_is_sent_to_a_model_to_compare_prompts(task, built, tmp_path, monkeypatch):
    """Behind an endpoint each would cost money."""
    sent = []
    monkeypatch.setattr("tuneworthy.models.scripted.Scripted._reply_to", lambda *a: sent.append(a))
    report = build(task, options=BuildOptions(arm="nearest_shots", out=tmp_path))
    assert report.parity[0].equal == 60
    assert not sent


def test_an_artefact_with_other_prompts_is_refused(task, built, tmp_path, monkeypatch):
    from tuneworthy.handover import system

    real = system.task_of
    monkeypatch.setattr(
        system, "task_of", lambda artefact, home: real(artefact, home).model_copy(
            update={"instruction": "Another one."}).at(home),
    )  # fmt: skip
    report = build(task, options=BuildOptions(arm="zero_shot", out=tmp_path))
    assert report.refused
    assert "60 of 60 prompts are not those of the arm" in report.parity[0].failed
    assert (report.folder, list(tmp_path.rglob(MANIFEST_FILE))) == ("", [])


def test_only_the_forms_asked_for_and_the_card(task, tmp_path):
    options = BuildOptions(arm="zero_shot", forms=("schema",), out=tmp_path)
    report = build(task, options=options)
    assert report.artefact.forms == ("card", "schema")
    assert find_artefact(tmp_path) == tmp_path / f"{report.artefact.name}-{report.artefact.id}"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (BuildOptions(arm="present"), "come from outside"),
        (BuildOptions(arm="majority"), "no measured arm"),
        (BuildOptions(arm="lora"), "no measured arm"),
        (BuildOptions(forms=("exe",)), "no form has this name"),
        (BuildOptions(arm="tfidf", forms=("gguf", "peft")), "no form that you name applies"),
    ],
)
def test_what_can_not_be_built_is_refused(task, options, what):
    with pytest.raises(TaskError, match=what):
        build(task, options=options)


def test_a_study_that_never_ran_is_refused(tmp_path):
    with pytest.raises(TaskError, match="no finished study"):
        build(studies.write(tmp_path / "new", 60, arms=ARMS))


def test_the_card_has_the_hubs_metadata(built):
    from ruamel.yaml import YAML

    text = (building.Path(built["tfidf"].folder) / "README.md").read_text()
    front = YAML(typ="safe").load(text.split("---")[1])
    assert front["library_name"] == "sklearn"
    assert "n=60" in front["model-index"][0]["results"][0]["metrics"][0]["name"]
    assert "60 of 60" in text
    shown = (building.Path(built["few_shot"].folder) / "README.md").read_text()
    assert "8 of these rows as examples" in shown
    assert "asked for" in shown
    assert "asked for" not in text, "the verdict names tfidf"
    why = "no date is known (no end of the model is known; how fast facts change is not known"
    assert f"- Expires: {why}" in text, "it is not claimed that facts were not seen to change"


def test_the_hub_reads_the_measured_score_of_the_card(built):
    hub = pytest.importorskip("huggingface_hub")
    for arm, report in built.items():
        card = hub.ModelCard.load(building.Path(report.folder) / "README.md")
        (found,) = card.data.eval_results
        assert found.metric_type == "accuracy"
        assert found.metric_name.startswith("accuracy, n=60, 95 % ")
        assert f"Score of `{arm}`: {found.metric_value:.3f}" in card.text
        assert (found.dataset_name, found.dataset_type) == ("planted", "private")
        again = hub.ModelCardData(eval_results=[found], model_name=card.data.model_name)
        assert again.to_dict()["model-index"] == card.data.to_dict()["model-index"]


def test_without_a_name_the_verdict_says_what_is_built(task, built):
    assert build(task).arm == study.run(task).verdict.arm == "tfidf"


def test_the_snippets_run(built, tmp_path):
    """The body that the shell script sends holds the input, quotes and all, in the last turn."""
    folder = building.Path(built["few_shot"].folder) / "prompt"
    fake = tmp_path / "curl"
    fake.write_text("#!/bin/sh\ncat\n")
    fake.chmod(0o755)
    text = """it's "broken" $HOME `date` {input}"""
    done = subprocess.run(
        ["sh", str(folder / "ask.sh"), text], capture_output=True, text=True, check=True,
        env={"PATH": f"{tmp_path}:{building.Path(sys.executable).parent}:/usr/bin:/bin"},
    )  # fmt: skip
    assert json.loads(done.stdout)["messages"][-1]["content"] == text
    compile((folder / "ask.py").read_text(), "ask.py", "exec")
    nearest = building.Path(built["nearest_shots"].folder) / "prompt"
    told = subprocess.run(["sh", str(nearest / "ask.sh"), "x"], capture_output=True, text=True)
    assert told.returncode == 1
    assert "tuneworthy serve" in told.stderr


def test_the_command_prints_sizes_paths_and_no_row(built, task, capsys):
    from tuneworthy.cli._frame import run

    words = ["build", str(task), "--arm", "few_shot"]
    assert run(words) == 0
    text = capsys.readouterr().out
    assert f"artefact: {built['few_shot'].folder}" in text
    assert "60 of 60 the same" in text
    assert "not gguf: nothing was trained" in text
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["artefact"]["id"] == built["few_shot"].artefact.id
    assert "pack" not in told["artefact"]
    assert run([*words, "--dry-run"]) == 0
    assert "would be built" in capsys.readouterr().out
    assert run(["build", str(task), "--form", "exe"]) == 2


@pytest.mark.parametrize(("known", "arm"), [(True, "few_shot"), (False, "tfidf")])
def test_a_settled_verdict_counts_only_if_the_ledger_knows_it(task, monkeypatch, known, arm):
    results = study.run(task).results
    named = results.verdict.model_copy(update={"arm": "few_shot"})
    settled = results.model_copy(update={"verdict": named, "course": "a settlement"})
    key = results.reproduce["stored"] if known else "a key that the ledger does not have"
    monkeypatch.setattr(building, "read_results", lambda folder: settled)
    monkeypatch.setattr(building, "settled_key", lambda results: key)
    assert build(task, options=BuildOptions(dry=True)).arm == arm


# Folders that are not what was built.


@pytest.fixture
def copied(built, tmp_path):
    import shutil

    return building.Path(shutil.copytree(built["tfidf"].folder, tmp_path / "copy"))


def edit(folder, **changes):
    raw = json.loads((folder / MANIFEST_FILE).read_text())
    raw["files"] |= changes.pop("more_files", {})
    (folder / MANIFEST_FILE).write_text(json.dumps({**raw, **changes}))


def test_a_whole_copy_opens(copied, task):
    assert read_artefact(copied).arm == "tfidf"
    assert open_artefact(copied, task.parent).answer(ASKED[:1])[0].labels


@pytest.mark.parametrize("cut", [0, 1, 100, 5000])
def test_a_truncated_or_flipped_file_is_refused(copied, cut):
    path = copied / "classifier" / "classifier.skops"
    raw = path.read_bytes()
    path.write_bytes(raw[:cut] + bytes([raw[cut] ^ 1]) + raw[cut + 1 :])
    with pytest.raises(ModelError, match="cut or changed"):
        open_artefact(copied)
    path.write_bytes(raw[: len(raw) - 1 - cut])
    with pytest.raises(ModelError, match="cut or changed"):
        open_artefact(copied)


def test_an_incomplete_folder_is_refused(copied):
    (copied / "README.md").unlink()
    with pytest.raises(ModelError, match="missing"):
        open_artefact(copied)
    (copied / MANIFEST_FILE).unlink()
    with pytest.raises(TaskError, match="no artefact here"):
        open_artefact(copied)


def test_a_cut_manifest_is_refused(copied):
    raw = (copied / MANIFEST_FILE).read_bytes()
    (copied / MANIFEST_FILE).write_bytes(raw[: len(raw) // 2])
    with pytest.raises(ModelError, match="no JSON"):
        open_artefact(copied)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"version": 3}, "another version"),
        ({"version": 1}, "other contents"),
        ({"pack": {"role": "", "vectors": True}}, "other contents"),
        ({"id": "0" * 12}, "other contents"),
        ({"more_files": {"../../outside": "0" * 64}}, "outside the folder"),
        ({"more_files": {"/etc/passwd": "0" * 64}}, "outside the folder"),
        ({"surprise": 1}, "was changed"),
        ({"pack": []}, "was changed"),
    ],
)
def test_an_edited_manifest_is_refused(copied, changes, what):
    edit(copied, **changes)
    with pytest.raises(ModelError, match=what):
        open_artefact(copied)


def test_a_classifier_of_unknown_types_is_not_opened(copied, tmp_path):
    import skops.io

    skops.io.dump({"call": print, "of": Sneaky()}, tmp_path / "bad.skops")
    with pytest.raises(SecurityError, match="types that we do not open"):
        classifier_file.load_classifier(tmp_path / "bad.skops")
    (tmp_path / "worse.skops").write_bytes(b"no zip")
    with pytest.raises(ModelError, match="can't be opened"):
        classifier_file.load_classifier(tmp_path / "worse.skops")


def test_a_changed_classifier_has_another_id_even_with_its_hash_noted(copied):
    path = copied / "classifier" / "classifier.skops"
    path.write_bytes(path.read_bytes() + b" ")
    files = json.loads((copied / MANIFEST_FILE).read_text())["files"]
    edit(copied, files={**files, "classifier/classifier.skops": file_sha256(path)})
    with pytest.raises(ModelError, match="other contents"):
        open_artefact(copied)


def fitted(n=2):
    texts = [f"word{k % n} and more" for k in range(40)]
    return tfidf_pipeline(1.0, 0, 40).fit(texts, [str(k % n) for k in range(40)])


def test_two_tasks_of_one_name_do_not_build_into_one_folder(task, built, tmp_path):
    for _ in range(2):  # the same task may, again and again
        build(task, options=BuildOptions(arm="tfidf", out=tmp_path / "out"))
    other = studies.write(tmp_path / "other", 60, arms=["majority", "tfidf"])
    study.run(other)
    with pytest.raises(TaskError, match="another task of this name"):
        build(other, options=BuildOptions(arm="tfidf", out=tmp_path / "out"))
    apart = build(other, options=BuildOptions(arm="tfidf", out=tmp_path / "apart"))
    assert [path.name for path in (tmp_path / "apart").glob(".draft*")] == []
    assert apart.folder


def test_the_same_classifier_gives_the_same_bytes(tmp_path):
    for name in "abc":
        classifier_file.save_classifier(fitted(3 if name == "c" else 2), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()
    opened = classifier_file.load_classifier(tmp_path / "a")
    assert opened.predict(["word1 and more"]).tolist() == ["1"]


def test_another_process_gives_the_same_bytes(tmp_path):
    """scikit-learn keeps the place in memory of the stop words."""
    for name, place in (("a", 139_988_673_424_352), ("b", 140_216_476_560_352)):
        made = fitted(2)
        for _, part in made[0].transformer_list:
            part._stop_words_id = place
        classifier_file.save_classifier(made, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def damaged(path, change):
    """Rewrite a skops file with its schema's text changed."""
    with zipfile.ZipFile(path) as made:
        parts = {name: made.read(name) for name in made.namelist()}
    parts = change(parts)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in parts.items():
            out.writestr(name, content)


def deep(parts):
    return {**parts, "schema.json": b'{"a": ' * 100_000 + b"1" + b"}" * 100_000}


def huge_array(parts):
    name = next(name for name in parts if name.endswith(".npy"))
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }"
    length = len(head).to_bytes(2, "little")
    return {**parts, name: b"\x93NUMPY\x01\x00" + length + head}


def bomb(parts):
    return {**parts, **{f"{k}.npy": bytes(50 << 20) for k in range(1000, 1003)}}


@pytest.mark.parametrize("change", [deep, huge_array, bomb, lambda parts: {"schema.json": b"{}"}])
def test_a_damaged_classifier_is_an_error_of_ours(change, tmp_path, monkeypatch):
    monkeypatch.setattr(classifier_file, "_MOST_BYTES", 100_000_000)
    classifier_file.save_classifier(fitted(), tmp_path / "c.skops")
    damaged(tmp_path / "c.skops", change)
    with pytest.raises(ModelError, match="can't be opened"):
        classifier_file.load_classifier(tmp_path / "c.skops")


class Sneaky:
    """A type that skops does not know."""


# The hub.


class Hub:
    def __init__(self, error=None):
        self.calls, self.error = [], error

    def create_repo(self, name, **more):
        self.calls.append(("create", name, more["private"]))

    def upload_folder(self, **more):
        if self.error:
            raise self.error
        self.calls.append(("upload", more["repo_id"], more["folder_path"]))


def test_push_makes_a_private_repository(built):
    hub, folder = Hub(), building.Path(built["tfidf"].folder)
    assert upload(folder, "me/model", hub) == "me/model"
    assert hub.calls == [("create", "me/model", True), ("upload", "me/model", str(folder))]


def test_push_refuses_a_bare_name_and_tells_of_a_refusal(built):
    from tuneworthy.records.errors import ProviderError

    folder = building.Path(built["tfidf"].folder)
    with pytest.raises(TaskError, match="ORG/NAME"):
        upload(folder, "model", Hub())
    with pytest.raises(ProviderError, match="did not take"):
        upload(folder, "me/model", Hub(PermissionError("401 for hf_secret\nmore")))


def chat_study(folder, systems):
    """Return a study of zero_shot on chats: row i brings systems[i % n], "" for none."""
    path = studies.write(folder, 60, arms=["majority", "zero_shot"], present=None, instruction="")
    chats = []
    for n, row in enumerate(studies.rows(60)):
        text = systems[n % len(systems)]
        turns = [{"role": "system", "content": text}] if text else []
        turns += [{"role": "user", "content": row["input"]},
                  {"role": "assistant", "content": row["output"]}]  # fmt: skip
        chats.append({"id": row["id"], "messages": turns})
    studies.lines(folder / "rows.jsonl", chats)
    study.run(path, building.RunOptions(brief=True))
    return path


def exported_prompt(path):
    report = build(path, options=BuildOptions(arm="zero_shot"))
    pack = json.loads((building.Path(report.folder) / "prompt" / "pack.json").read_text())
    return report, pack


def test_the_exported_prompt_has_the_system_turn_that_all_rows_bring(tmp_path):
    """`init` leaves the instruction empty where the rows bring it: it was missing in the export."""
    path = chat_study(tmp_path, ["Sort the message."])
    _, pack = exported_prompt(path)
    runs = read_results(find_results(path.parent)).runs
    measured = next(run for run in runs if run.spec.arm == "zero_shot").answers[0].prompt
    assert measured[0].content.startswith("Sort the message.")
    assert pack["messages"][:-1] == [m.plain() for m in measured[:-1]]
    assert pack["messages"][-1]["content"] == "{input}"
    assert pack["fixed"]


def test_different_system_turns_are_no_single_prompt(tmp_path):
    _, pack = exported_prompt(chat_study(tmp_path, ["Sort the message.", ""]))
    assert not pack["fixed"]
    assert "different system turns" in pack["why"]
