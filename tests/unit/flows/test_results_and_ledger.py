"""D12: results are shown only if the ledger holds them; a ledger that was cut is noticed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests import studies

import tuneworthy
from tuneworthy.cli._frame import run
from tuneworthy.records.errors import TaskError
from tuneworthy.report.results_folder import find_results, latest_results
from tuneworthy.store.database import HEAD_FILE
from tuneworthy.store.store import open_ledger


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    home = tmp_path_factory.mktemp("study")
    tuneworthy.run(studies.write(home, arms=studies.LIGHT))
    return home


@pytest.fixture
def home(made, tmp_path):
    shutil.copytree(made, tmp_path / "study")
    return tmp_path / "study"


def results(home):
    return next((home / "results").glob("planted-*")) / "results.json"


def edited(home, change):
    whole = json.loads(results(home).read_text())
    change(whole)
    results(home).write_text(json.dumps(whole))


@pytest.mark.every(3)
@pytest.mark.parametrize("words", [[], ["--json"], ["--recompute"]])
@pytest.mark.parametrize(
    "change",
    [
        lambda w: w["verdict"].update(use="tune", arm="lora", status="firm"),
        lambda w: w["runs"][0]["answers"][0].update(text="another"),
        lambda w: w["reproduce"].update(study="0" * 64),
        lambda w: w["reproduce"].pop("study"),
        lambda w: w["verdict"].update(tuneworthy="0.0.1"),
    ],
)
def test_d12_results_that_were_changed_are_not_shown(change, words, home, capsys):
    assert run(["report", str(home), *words]) == 0
    page = results(home).with_name("report.html").read_bytes()
    edited(home, change)
    capsys.readouterr()
    assert run(["report", str(home), *words]) == 7
    shown = capsys.readouterr()
    assert shown.err.startswith("StoreError: the ")
    assert "Use:" not in shown.out
    assert results(home).with_name("report.html").read_bytes() == page
    assert run(["compare", str(home), str(home)]) == 7
    assert run(["run", str(home), "--no-progress"]) == 0, "the ledger writes them again"
    assert run(["report", str(home), *words]) == 0


def test_d12_results_without_a_ledger_are_shown_and_that_is_said(home, tmp_path, capsys):
    shutil.copytree(results(home).parent, tmp_path / "sent")
    assert run(["report", str(tmp_path / "sent")]) == 0
    assert "were not compared" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--recompute"]])
def test_d12_a_row_that_was_changed_in_the_ledger_shows(words, home, capsys):
    import sqlite3

    store = home / ".tuneworthy" / "ledger.sqlite"
    with sqlite3.connect(store) as connection:
        last = "SELECT max(seq) FROM rows WHERE kind = 'results'"
        seq = last if not words else "SELECT min(seq) FROM rows WHERE sort = 'unit'"
        connection.execute(
            f"UPDATE rows SET value = replace(value, '\"text\"', '\"test\"') WHERE seq = ({seq})"
        )
        connection.execute(f"UPDATE rows SET kind = kind || 'x' WHERE seq = ({seq})")
    connection.close()
    assert run(["report", str(home), *words]) == 7
    assert "changed by something else" in capsys.readouterr().err


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("word", ["report", "run", "plan"])
def test_d12_a_store_file_that_was_cut_is_noticed(word, share, home, capsys):
    store = home / ".tuneworthy" / "ledger.sqlite"
    os.truncate(store, int(store.stat().st_size * share))
    assert run([word, str(home)]) == 7
    assert "BUG" not in capsys.readouterr().err


@pytest.mark.every(2)
@pytest.mark.parametrize("word", ["report", "run", "plan", "check"])
def test_d12_an_older_copy_of_the_store_is_noticed(word, made, tmp_path, capsys):
    home = tmp_path / "study"
    shutil.copytree(made, home)
    store = home / ".tuneworthy" / "ledger.sqlite"
    older = store.read_bytes()
    path = studies.write(home, arms=[*studies.LIGHT, "copy_input"])
    assert run(["run", str(path), "--no-progress"]) == 0
    store.write_bytes(older)
    capsys.readouterr()
    assert run([word, str(home)]) == 7
    assert "the end of the ledger is gone" in capsys.readouterr().err
    (home / ".tuneworthy" / HEAD_FILE).unlink()
    assert run(["run", str(home), "--no-progress"]) == 0, "what is gone is measured again"
    assert run(["report", str(home)]) == 0


def test_d12_rows_that_a_lost_journal_file_held_are_noticed(tmp_path, capsys):
    code = (
        "import os, signal, sys; from pathlib import Path;"
        "from tuneworthy.store.store import open_ledger;"
        "ledger = open_ledger(Path(sys.argv[1]));"
        "[ledger.put(f'k{n}', 'x', {'n': n}) for n in range(20)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert done.returncode == -signal.SIGKILL
    wal = tmp_path / ".tuneworthy" / "ledger.sqlite-wal"
    assert wal.stat().st_size > 0
    shutil.copytree(tmp_path, tmp_path.with_name("whole"))
    with open_ledger(tmp_path.with_name("whole"), say=lambda text: None) as ledger:
        assert ledger.get("k19") == {"n": 19}
    os.truncate(wal, wal.stat().st_size // 2)
    for write in (True, False):
        with pytest.raises(Exception, match="the end of the ledger is gone") as caught:
            open_ledger(tmp_path, write=write, say=lambda text: None)
        assert caught.value.exit_code == 7
    wal.unlink()
    with pytest.raises(Exception, match="the end of the ledger is gone"):
        open_ledger(tmp_path, say=lambda text: None)


def test_d12_a_mirror_that_was_cut_is_noticed_and_one_that_was_removed_is_not_missed(tmp_path):
    cost = {"usd": "0.1", "tokens": 3}
    with open_ledger(tmp_path) as ledger:
        for n in range(5):
            ledger.outcome(ledger.attempt(f"k{n}", cost), cost, "", (f"k{n}", {"text": "x"}))
    mirror = tmp_path / ".tuneworthy" / "replies.jsonl"
    os.truncate(mirror, mirror.stat().st_size // 2)
    with pytest.raises(Exception, match="second copy of the paid replies was cut") as caught:
        open_ledger(tmp_path)
    assert caught.value.exit_code == 7
    mirror.unlink()
    with open_ledger(tmp_path) as ledger:
        assert ledger.get("k4") == {"text": "x"}


@pytest.mark.parametrize("text", [b"", b"x", b"1 2", b"\xff" * 128, b"9999999999999999999999 a b"])
def test_d12_a_head_that_cannot_be_read_is_no_error(text, home):
    (home / ".tuneworthy" / HEAD_FILE).write_bytes(text)
    assert run(["report", str(home)]) == 0
    assert run(["run", str(home), "--no-progress"]) == 0


def named_studies(tmp_path, *names):
    for name in names:
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "results.json").write_text("{}", "utf-8")


def test_a_study_is_found_by_its_name_its_hash_or_its_tasks_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named_studies(tmp_path, "tickets-3f2a91c0", "mails-77aa0011", "mails-91ab0022")
    found = Path("results") / "tickets-3f2a91c0"
    for name in ("tickets", "tickets-3f2a91c0", "3f2a", "3f2a91c0", "3f2a91c0ffff0000"):
        assert find_results(Path(name)) == found
    with pytest.raises(TaskError, match="several studies fit") as told:
        find_results(Path("mails"))
    assert "mails-77aa0011" in told.value.got


def test_a_task_file_means_its_own_latest_study(tmp_path, capsys):
    first = studies.write(tmp_path, name="first", arms=studies.LIGHT)
    other = tmp_path / "other.yaml"
    other.write_text(json.dumps({**json.loads(first.read_text()), "name": "second", "seed": 3}))
    absent = tmp_path / "absent.yaml"
    absent.write_text(other.read_text())
    with pytest.raises(TaskError, match="no finished study"):
        find_results(first)
    for task in (other, first):
        assert run(["run", str(task), "--brief", "--no-progress"]) == 0
    assert find_results(first).name.startswith("first-")
    assert find_results(other).name.startswith("second-")
    assert find_results(tmp_path).name.startswith("first-"), "the folder means the latest of all"
    for name in ("results/latest", f"results/{find_results(other).name}/verdict.json"):
        assert find_results(tmp_path / name).exists()
    with pytest.raises(TaskError, match="of this name") as told:
        find_results(absent)
    assert "second-" in told.value.fix
    own = find_results(other)
    (own / "files.json").unlink()  # as an older version left it
    assert find_results(absent) == find_results(tmp_path)
    study = own.name.rpartition("-")[2]
    assert latest_results(tmp_path, "second", study) == own
    settled = shutil.copytree(own, own.with_name(f"{own.name}-settled"))
    os.utime(settled / "results.json")
    assert latest_results(tmp_path, "second", study) == settled
    with pytest.raises(TaskError):
        latest_results(tmp_path, "third", study)


def test_an_unknown_study_lists_those_that_are_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError, match="no finished study here"):
        find_results(Path("tickets"))
    named_studies(tmp_path, "tickets-3f2a91c0", "mails-77aa0011")
    for name in ("bills", "3f2"):
        with pytest.raises(TaskError, match="of this name") as told:
            find_results(Path(name))
        assert {"tickets-3f2a91c0", "mails-77aa0011"} <= set(
            told.value.fix.removeprefix("there are: ").split(", ")
        )
