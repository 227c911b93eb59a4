"""P1, P2, P5, P13, P14: a small scripted study, killed, failed and raced at every durable step."""

import json
import os
import random
import signal
import sys
import time
from decimal import Decimal
from itertools import count, repeat
from pathlib import Path

import psutil  # noqa: F401
import pytest
from killing import Ended, forked, kill_chain, kill_everywhere, run

# Imported here, once, so that the forked children don't each pay for it.
import tuneworthy.store.database  # noqa: F401
from tuneworthy.records.errors import StoreError
from tuneworthy.records.record import digest
from tuneworthy.store.blobs import atomic_folder, is_whole
from tuneworthy.store.purse import SpendingCap
from tuneworthy.store.store import open_ledger, read_ledger

QUIET = {"say": lambda text: None}


def note(folder: Path, line: str) -> None:
    fd = os.open(folder / "server.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (line + "\n").encode())
    os.close(fd)


def ask(folder: Path, purse: SpendingCap, key: str) -> dict:
    """Ask the paid endpoint (a file that counts requests) unless the answer is there."""
    if (stored := purse.recorded(key)) is not None:
        return stored
    ticket = purse.reserve("0.10", 100, key)
    note(folder, key)
    reply = {"text": f"reply to {key} \ud800"}
    purse.settle(ticket, "0.07", 60, reply)
    return purse.recorded(key)


def train(ledger, folder: Path, key: str) -> dict:
    place = ledger.folder(key) / "adapter"
    if not is_whole(place):
        with atomic_folder(place) as part:
            (part / "weights.bin").write_bytes(random.Random(1).randbytes(5000))
            (part / "deep").mkdir()
            (part / "deep" / "config.json").write_text("{}")
    note(folder, f"made {key}")
    return {"adapter": digest(sorted(p.name for p in place.iterdir()))}


@forked
def study(folder: Path) -> None:
    with open_ledger(folder, **QUIET) as ledger:
        ledger.freeze("s", "plan", {"arms": 3})
        place = ledger.looks("s", "rows")
        ledger.door("s", "audit", "lengths")
        units = {}
        for name in "abcd":
            key = digest({"arm": name})

            def make(name=name, key=key):
                note(folder, f"made {key}")
                return {"score": [len(name) / 3, None], "text": "\x00\ud83d é"}

            units[name] = ledger.unit(key, "run", make, "s")
        purse = SpendingCap(ledger, usd=5, tokens=5000, study="s")
        replies = [ask(folder, purse, f"q{number}") for number in range(3)]
        units["lora"] = ledger.unit("lora", "fit", lambda: train(ledger, folder, "lora"), "s")
        ledger.door("s", "open", "score")
        doors = [(door["door"], door["purpose"]) for door in ledger.doors("s")]
        ledger.verify()
        assert is_whole(ledger.folder("lora") / "adapter")
        left = [p.name for p in ledger.folder("lora").iterdir() if p.name.startswith(".")]
        assert not left, left
        out = {"units": units, "doors": doors, "looks": place, "replies": replies}
    (folder / "out.json").write_text(json.dumps(out, sort_keys=True))


@pytest.fixture
def fresh(tmp_path):
    numbers = count()

    def make() -> Path:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return folder

    return make


def sent(folder: Path) -> list[str]:
    return (folder / "server.log").read_text().split("\n")[:-1]


def killed(fresh, stride):
    folders = []
    kills = kill_everywhere(
        study,
        lambda: folders.append(fresh()) or folders[-1],
        "out.json",
        steps=lambda k: k % stride == 0,
    )
    assert sum(kill.in_flight for kill in kills) >= 0.3 * len(kills)
    for folder in folders:  # at most the one thing in flight was done twice
        log = sent(folder)
        assert len(log) - len(set(log)) <= 1, log
    return kills


def test_p1_killed_at_every_third_durable_step_it_resumes_to_the_same_content(fresh):
    assert len(killed(fresh, 3)) >= 10


@pytest.mark.long
@pytest.mark.full
def test_p1_killed_at_every_durable_step_it_resumes_to_the_same_content(fresh):
    steps = {kill.step for kill in killed(fresh, 1)}
    both = {f"{name}.{side}" for name in
            ("create", "put", "freeze", "door", "look", "attempt", "outcome", "publish")
            for side in ("before", "after")}  # fmt: skip
    assert steps == both | {"publish.files", "publish.move"}


def test_p1_the_comparison_can_fail(fresh):
    @forked
    def forgetful(folder):
        note(folder, "ran")  # what a run leaves outside the ledger shows after a resume
        study(folder)
        (folder / "out.json").write_text(str(sent(folder).count("ran")))

    with pytest.raises(AssertionError, match="it differs"):
        kill_everywhere(forgetful, fresh, "out.json", limit=3)


def test_p1_chains_of_kills_on_one_study(fresh):
    done = fresh()
    assert run(study, done).code == 0
    want = (done / "out.json").read_bytes()
    for gap in (9, 4):
        assert len(kill_chain(study, fresh(), "out.json", want, repeat(gap))) >= 2


def random_kills(fresh, number):
    done = fresh()
    start = time.monotonic()
    assert run(study, done).code == 0
    whole, want = time.monotonic() - start, (done / "out.json").read_bytes()
    struck, tries = 0, 0
    for seed in range(10 * number):
        if seed >= number and struck >= number / 3:
            break
        tries, folder = seed + 1, fresh()
        child = os.fork()
        if child == 0:
            try:
                study(folder)
            finally:
                os._exit(0)
        time.sleep(random.Random(seed).random() * whole)
        os.kill(child, signal.SIGKILL)
        hit = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
        struck += hit
        whole *= 1 if hit else 0.8  # it was done already: the first run was a slow one
        ended = run(study, folder)
        assert ended.code == 0, f"seed {seed}: {ended.stderr}"
        assert (folder / "out.json").read_bytes() == want, seed
    assert struck >= number / 3, f"{struck} of {tries} kills struck"


def test_p1_random_kills(fresh):
    random_kills(fresh, 6)


@pytest.mark.long
def test_p1_random_kills_more(fresh):
    random_kills(fresh, 40)


@pytest.mark.long
def test_p1_random_kills_all(fresh):
    random_kills(fresh, 1000)


def test_p2_no_answered_request_is_sent_again_and_unknown_ones_are_listed(fresh):
    # The steps of asking alone: attempt and outcome, before and after.
    for k in range(1, 60):
        folder = fresh()
        spec = f"{('attempt', 'outcome')[k % 2]}.*:{(k + 1) // 2}:kill"
        if run(study, folder, spec).code == 0:
            break
        held = []
        with read_ledger(folder) as there:
            pass
        if there is not None:
            with open_ledger(folder, **QUIET) as ledger:
                purse = SpendingCap(ledger, study="s")
                held = [q for q in ("q0", "q1", "q2") if purse.recorded(q)]
                unknown = [attempt.key for attempt in purse.spent().unknown]
                log = sent(folder) if (folder / "server.log").exists() else []
                # What the server saw and the ledger can't answer for is listed, at most one here.
                assert set(log) & {"q0", "q1", "q2"} - set(held) <= set(unknown)
                assert len(unknown) <= 1
                assert purse.spent().usd >= Decimal("0.07") * len(held)
        before = sent(folder) if (folder / "server.log").exists() else []
        assert run(study, folder).code == 0
        assert not set(sent(folder)[len(before) :]) & set(held)
    else:
        raise AssertionError("never completed")


def failing(fresh, spec, stride):
    """Fail each durable step (`spec` has a place for k), then resume on a sound disk."""
    done = fresh()
    assert run(study, done).code == 0
    want = (done / "out.json").read_bytes()
    for k in range(1, 200, stride):
        folder = fresh()
        ended = run(study, folder, spec.format(k))
        if ended.code == 0:
            assert k > 30
            return
        assert "tuneworthy.records.errors.StoreError" in ended.stderr, ended.stderr
        assert run(study, folder).code == 0
        assert (folder / "out.json").read_bytes() == want
    raise AssertionError("never completed")


def test_p13_a_full_disk_at_any_step_stops_cleanly_and_resumes(fresh):
    failing(fresh, "*:{}:raise", 9)


@pytest.mark.full
@pytest.mark.parametrize(
    ("often", "action"),
    [("", "raise")]
    + [
        pytest.param(*one, marks=pytest.mark.long)
        for one in [
            ("", "EIO"),
            ("+", "EMFILE"),
            ("", "EROFS"),
            ("", "EMFILE"),
            ("+", "raise"),
            ("+", "EIO"),
            ("+", "EROFS"),
        ]
    ],
)
def test_p13_a_disk_that_fails_at_any_step_stops_cleanly_and_resumes(fresh, action, often):
    failing(fresh, "*:{}" + often + ":" + action, 1)


def compete(folder: Path, go: int, said: int, end: int) -> None:
    """Try to open the ledger at the signal; say who won; a winner holds it until the end."""
    os.read(go, 1)
    try:
        with open_ledger(folder, **QUIET) as ledger:
            ledger.put("winner", "x", {"pid": os.getpid()})
            os.write(said, f"{os.getpid()} won\n".encode())
            os.read(end, 1)
    except StoreError as error:
        os.write(said, f"{os.getpid()} lost {error.exit_code} {error.got}\n".encode())


def race(fresh, rounds, together=8):
    """Start processes at one moment on one folder: one wins, the others say who holds it."""
    for _ in range(rounds):
        folder, pipes = fresh(), [os.pipe() for _ in range(3)]
        children = []
        for _ in range(together):
            if (child := os.fork()) == 0:
                try:
                    os.close(pipes[0][1]), os.close(pipes[2][1])
                    compete(folder, pipes[0][0], pipes[1][1], pipes[2][0])
                finally:
                    os._exit(0)
            children.append(child)
        os.close(pipes[0][1])  # end of file on this pipe starts them all
        said = b""
        while said.count(b"\n") < together:
            said += os.read(pipes[1][0], 4000)
        os.close(pipes[2][1])
        for child in children:
            os.waitpid(child, 0)
        for fd in (pipes[0][0], *pipes[1], pipes[2][0]):
            os.close(fd)
        lines = said.decode().splitlines()
        (winner,) = [line.split()[0] for line in lines if line.endswith(" won")]
        lost = [line.split(" ", 1)[1] for line in lines if not line.endswith(" won")]
        assert len(lost) == together - 1
        assert all(line.startswith("lost 7 host ") for line in lost), lines
        assert all(f"pid {winner}, since" in line for line in lost), lines
        with open_ledger(folder, write=False) as ledger:
            assert ledger.get("winner") == {"pid": int(winner)}


def test_p14_one_winner_in_5_races(fresh):
    race(fresh, 5)


@pytest.mark.long
@pytest.mark.full
def test_p14_one_winner_in_20_races(fresh):
    race(fresh, 20)


@pytest.mark.long
def test_p14_one_winner_in_200_races(fresh):
    race(fresh, 200)


def test_the_harness_runs_a_command_line_too(fresh):
    code = "import os, sys; from tuneworthy.store.failpoint import failpoint as f;"
    code += "f('one.before'); f('one.after'); open('out', 'w').write('done')"
    kills = kill_everywhere(lambda folder: [sys.executable, "-c", code], fresh, "out")
    assert [kill.step for kill in kills] == ["one.before", "one.after"]
    assert Ended(0, "").step == ""
