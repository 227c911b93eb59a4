"""Check my own run: the launch list, what a check shows, and every folder that it refuses."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest
from lab_kit import PORT, Browser, until
from lab_runner import fake

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.in_time import ends_within

import run_folder_kit as kit
from tuneworthy.lab import child_call
from tuneworthy.lab.app import make_app
from tuneworthy.lab.cases import all_cases
from tuneworthy.lab.child_call import call_in_child
from tuneworthy.lab.open_lab import open_lab
from tuneworthy.lab.own_folders import OwnFolders, example_report, own_folders, report_for_page
from tuneworthy.lab.own_run import OwnFiles, check_run
from tuneworthy.lab.problem import Problem
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.run_report import NEEDS_ANSWERS, ONLY_IN_LAB_RUNS


@pytest.fixture
def exploded(tmp_path):
    return kit.tokenizer(kit.trainer_state(tmp_path / "exploded run", "explodes"))


@pytest.fixture
def own(exploded):
    return own_folders([exploded])


@pytest.fixture
def opened(tmp_path, own):
    """A browser of a lab that was launched with the exploded run."""
    working = tmp_path / "working"
    working.mkdir()
    lab = open_lab(working, ("127.0.0.1", PORT), open_runner=fake, own=own)
    with Browser(make_app(lab), lab) as client:
        yield client
    lab.close()


def asked(client, own):
    return client.change("/api/check", {"folder": own.folders[0].id})


def test_the_page_lists_the_folders_of_the_launch_and_their_commands(opened, own, exploded):
    reply = opened.get("/check")
    assert reply.status_code == 200
    assert f'data-folder="{own.folders[0].id}"' in reply.text
    assert "<b>exploded run</b>" in reply.text
    assert f"tuneworthy check --run &#39;{exploded}&#39;" in reply.text
    assert 'href="/check" aria-current="page"' in reply.text


def test_without_a_folder_the_page_says_how_to_name_one(browser):
    text = browser.get("/check").text
    assert "No training folder was named" in text
    assert "tuneworthy lab --check outputs/" in text


def test_home_and_every_case_lead_there(opened):
    assert 'href="/check"' in opened.get("/").text
    for slug in all_cases():
        assert 'id="own-run" href="/check"' in opened.get(f"/case/{slug}").text


def test_a_check_says_what_the_command_says(opened, own, exploded):
    reply = asked(opened, own)
    assert reply.status_code == 200
    told, report = reply.json(), check_run(exploded, OwnFiles())
    assert {one["cause"] for one in told["found"]} == {one.cause for one in
                                                       report.of_state("found")}  # fmt: skip
    first, same = told["found"][0], report.of_state("found")[0]
    assert (first["because"], first["fix"], first["case"]) == (same.because, same.fix, same.case)
    assert "learning rate" in first["words"]
    assert len(told["clean"]) == len(report.of_state("clean"))
    assert len(told["explained"]) == len(report.of_state("explained")) > 0
    named = [case["case"] for each in (*told["unmeasured"], *told["beyond"])
             for case in each["cases"]]  # fmt: skip
    assert sorted(named) == sorted(one.case for one in report.of_state("not measured"))
    assert {each["why"] for each in told["beyond"]} == {NEEDS_ANSWERS, ONLY_IN_LAB_RUNS}
    assert told["unmeasured"][0]["why"] == "no training rows are given (--data FILE)"
    assert told["command"] == f"tuneworthy check --run '{exploded}'"


def test_the_rows_that_a_fault_concerns_are_told(tmp_path):
    folder = kit.tokenizer(kit.trainer_state(tmp_path / "run"))
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"input": "a{k}", "output": "b{k}"}}\n' for k in range(30)))
    list_ = own_folders([folder], data=rows, test=rows)
    told = list_.check(list_.folders[0].id)
    leak = next(one for one in told["found"] if one["cause"] == "test_rows_leaked")
    assert leak["row_count"] == 30
    assert len(leak["rows"]) == 5
    assert told["data"]["rows"] == 30
    assert told["command"].endswith(f"--data {rows} --test {rows}")


@pytest.mark.parametrize(
    ("made", "status", "says"),
    [
        ("foreign", 422, "nothing in this folder is a training run's"),
        ("empty", 422, "the training folder is empty"),
        ("gone", 404, "this folder is gone since the lab was launched"),
        ("file", 404, "this folder is gone since the lab was launched"),
        ("link", 403, "a link stands where the folder was"),
    ],
)
def test_a_folder_that_cannot_be_checked_is_named(tmp_path, made, status, says):
    folder = tmp_path / "run"
    folder.mkdir()
    if made == "foreign":
        (folder / "notes.md").write_text("of another tool")
        (folder / "weights.bin").write_bytes(b"\x80\x04")
    listed = own_folders([folder])
    if made in ("gone", "file", "link"):
        folder.rmdir()
    if made == "file":
        folder.write_text("now a file")
    if made == "link":
        kit.trainer_state(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Problem, match=says) as caught:
        listed.check(listed.folders[0].id)
    assert caught.value.status == status
    assert caught.value.fix
    assert "--run" not in caught.value.where


def test_half_a_folder_measures_nothing_and_names_the_broken_file(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "trainer_state.json").write_text('{"log_history": [{"step": 1, "lo')
    listed = own_folders([folder])
    told = listed.check(listed.folders[0].id)
    assert (told["found"], told["clean"]) == ([], [])
    groups = (*told["unmeasured"], *told["beyond"])
    assert sum(len(each["cases"]) for each in groups) == len(all_cases())
    assert "no whole JSON" in told["logs"][0]["because"]


def test_only_ids_of_the_launch_list_are_known(own, tmp_path):
    kit.trainer_state(tmp_path / "other")
    for key in ("", "0" * 16, str(tmp_path / "other"), "../other", "\x00", own.folders[0].id[:-1]):
        with pytest.raises(Problem, match="no folder of this id") as caught:
            own.check(key)
        assert caught.value.status == 404


def test_a_second_check_at_the_same_time_is_refused(own):
    own._busy.acquire()
    with pytest.raises(Problem, match="another folder is being checked") as caught:
        own.check(own.folders[0].id)
    assert caught.value.status == 429
    own._busy.release()
    assert own.check(own.folders[0].id)["name"] == "exploded run"
    assert not own._busy.locked()


def test_text_of_a_folder_stays_text(opened, own, exploded):
    attack = "<img src=x onerror=alert(1)>\x1b]0;\u202e"
    (exploded / "README.md").write_text(f"trained with {attack}")
    (exploded / "training_args.json").write_text('{"pad_token": "<script>"}')
    told = asked(opened, own)
    assert told.status_code == 200
    assert told.headers["content-type"] == "application/json"
    assert told.json()["settings"]["pad_token"] == "<script>"
    assert "innerHTML" not in opened.get("/static/check.js").text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"named": ["nowhere"]}, "no such folder"),
        ({"named": ["file"]}, "this is a file"),
        ({"named": [], "data": "file"}, "belongs to --check"),
        ({"named": ["."], "data": "nowhere"}, "no such file"),
        ({"named": ["."] * 51}, "too many folders"),
    ],
)
def test_a_wrong_launch_list_is_refused_before_the_lab_opens(tmp_path, monkeypatch, given, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    paths = {name: Path(value) for name, value in given.items() if name != "named"}
    with pytest.raises(TaskError, match=says):
        own_folders([Path(one) for one in given["named"]], **paths)


def test_a_folder_named_twice_is_listed_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    listed = own_folders([Path("a"), Path("b"), tmp_path / "a"])
    assert [(one.name, str(one.named)) for one in listed.folders] == [("a", "a"), ("b", "b")]
    assert len({one.id for one in listed.folders}) == 2
    assert OwnFolders().folders == ()


def refuses(what):
    raise DataError(what, where="rows.jsonl:3", got="half a row", fix="copy it again", kept="all")


def dies():
    os.kill(os.getpid(), 9)


def fails():
    raise RuntimeError("odd")


@pytest.mark.long
def test_a_child_returns_raises_dies_and_is_stopped():
    assert call_in_child(60, max, 1, 2) == 2
    with pytest.raises(DataError) as caught:
        call_in_child(60, refuses, "a row is cut")
    assert (caught.value.where, caught.value.kept) == ("rows.jsonl:3", "all")
    with pytest.raises(Problem, match="ended before it answered") as caught:
        call_in_child(60, dies)
    assert "SIGKILL" in caught.value.got
    with pytest.raises(Problem, match="this failed") as caught:
        call_in_child(60, fails)
    assert caught.value.status == 500
    with ends_within(20):
        with pytest.raises(Problem, match="takes too long") as caught:
            call_in_child(0.2, time.sleep, 60)
        assert caught.value.status == 504
    assert threading.active_count() < 20


def test_a_lab_that_ends_waits_for_no_child():
    said = []

    def asked():
        with pytest.raises(Problem, match="ended before it answered"):
            call_in_child(60, time.sleep, 60)
        said.append(True)

    thread = threading.Thread(target=asked)
    thread.start()
    until(lambda: child_call._running_children)
    child_call.end_children()
    thread.join(20)
    assert said
    assert not child_call._running_children


def test_an_unknown_kind_of_error_is_a_problem():
    for kind in ("KEPT", "nothing", "Sequence"):
        assert isinstance(child_call.error_from_parts(kind, {"what": "x"}), Problem)


def test_reasons_that_the_user_can_mend_come_first():
    report = {"findings": [
        {"cause": "rows_cut", "case": "a", "title": "A", "state": "not measured",
         "reasons": ["it needs the model's own answers, and no model is run here"]},
        {"cause": "rows_cut", "case": "b", "title": "B", "state": "not measured",
         "reasons": ["no rows"]},
    ], **dict.fromkeys(("trainer", "logs", "adapter", "data", "test", "settings", "assumed",
                        "not_read"))}  # fmt: skip
    assert next(each["why"] for each in report_for_page(report)["unmeasured"]) == "no rows"


def test_the_example_is_a_report_on_a_recorded_run():
    report = example_report()
    assert "rate_too_high" in [one["cause"] for one in report["found"]]
    assert report["logs"][0]["steps"] == 49, "48 and the look before them"
    assert "/tmp" not in str(report)
