"""Whole studies with a teacher behind a server: the gate, the spend, caps, 429s and kills."""

import os
import signal
import threading
import time
from zlib import crc32

import pytest
from models_kit import says
from tests import distil_kit

from tuneworthy.flows.settling import open_settling
from tuneworthy.flows.study import RunOptions, plan, run
from tuneworthy.records.errors import BudgetError, TaskError
from tuneworthy.report.html import page
from tuneworthy.report.terminal import ladder_screen

STUDENT = {"distil": {"student": "classifier", "samples": 3}}
PRICED = {"economics": {"prices": {"m": {"in": 1.0, "out": 1.0}}}}
KILLS = int(os.environ.get("TUNEWORTHY_KILLS", "4"))


class Counting:
    """What a teacher's server answered, by request; every `busy`-th request is told to wait."""

    def __init__(self, busy=0, wrong=0.0):
        self.answered, self.seen, self.busy, self.wrong = [], 0, busy, wrong
        self.lock, self.victim = threading.Lock(), None  # (process, requests before it is killed)

    def __call__(self, body):
        with self.lock:
            self.seen += 1
            if self.busy and self.seen % self.busy == 0:
                error = {"message": "slow down"}
                return {"status": 429, "headers": {"retry-after": "0"}, "json": {"error": error}}
            if self.victim and self.seen >= self.victim[1]:
                os.kill(self.victim[0], signal.SIGKILL)
                self.victim = None
            text = body["messages"][-1]["content"]
            self.answered.append((text, body["seed"], body["temperature"]))
        right = distil_kit.label(text)
        said = "refund" if crc32(text.encode()) % 100 < 100 * self.wrong else right
        return says(said, usage={"prompt_tokens": 30, "completion_tokens": 2})


@pytest.fixture
def study(serve, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def make(teacher, *arms, **task):
        server = serve(teacher)
        spec = f"openai:m@{server.url}"
        path = distil_kit.write(tmp_path / "study", spec, *(arms or ("majority", STUDENT)), **task)
        return path, lambda **more: run(path, RunOptions(pay=True, brief=True, **more))

    return make


def arms_of(done):
    return {arm.name: arm for arm in done.results.evidence.arms}


NAME = "distil(student=classifier, samples=3)"


def test_a_teacher_that_knows_more_is_distilled_named_and_never_asked_twice(study):
    teacher = Counting(busy=9)
    _, go = study(teacher)
    done = go()
    arms = arms_of(done)
    assert done.verdict.use == "distil"
    assert done.verdict.arm == NAME
    assert arms["teacher"].score.mean == 1
    assert arms["teacher"].role == "ceiling"
    assert arms[NAME].score.mean > arms["tfidf"].score.mean + 0.2
    assert len(teacher.answered) == len(set(teacher.answered)) == 90 + 3 * 90
    run_ = next(r for r in done.results.runs if r.spec.name == NAME)
    told = run_.trace["distilled"]["pairs"]
    assert told == {"inputs": 90, "written": 270, "kept": 90, "rejected": {}, "usd": None,
                    "tokens_in": 270 * 30, "tokens_out": 270 * 2}  # fmt: skip
    assert go().results.evidence == done.results.evidence
    assert len(teacher.answered) == 360
    screen = " ".join(ladder_screen(done.results, 110).plain.split())
    assert "distilled student" in screen
    assert "untouched student not measured" in screen, "an untouched classifier gives no answers"
    assert "seed student (your own labels alone)" in screen
    assert "Agreement with the teacher (no quality: a teacher may err)" in screen
    text = page(done.results)
    assert text.count('<section id="students">') == 1
    assert "wrote 270 answers to 90 inputs, 90 are kept." in text


@pytest.mark.long
def test_d14_the_plan_counts_what_the_teacher_is_asked_and_its_highest_price(study):
    teacher = Counting()
    path, go = study(teacher, **PRICED, budget={"usd": 5})
    planned = {arm.spec.name: arm for arm in plan(path, RunOptions(pay=True, brief=True)).arms}
    assert teacher.seen == 0
    assert planned["teacher"].sent.requests == 90
    assert planned[NAME].sent.requests == 270
    assert planned[NAME].minutes > planned["teacher"].minutes > 0
    go()
    asked = [a for a in teacher.answered if a[2] > 0]
    assert len(asked) <= planned[NAME].sent.most_requests
    assert len(asked) * 32e-6 <= planned[NAME].sent.most_usd


def test_a_teacher_that_is_no_better_is_not_distilled_and_not_paid_for_it(study):
    teacher = Counting(wrong=0.6)
    _, go = study(teacher)
    done = go()
    skipped = next(r for r in done.results.runs if r.spec.name == NAME)
    assert skipped.state == "skipped"
    assert "not shown to be better than tfidf" in str(skipped.because)
    assert len(teacher.answered) == 90, "the scored cases alone"
    assert done.verdict.use != "distil"
    assert "not shown to be better than tfidf" in page(done.results)
    assert '<section id="students">' not in page(done.results)


def test_the_gate_stands_without_the_schedule(study):
    _, go = study(Counting(wrong=0.6), budget={"stages": False})
    skipped = next(r for r in go().results.runs if r.spec.name == NAME)
    assert "not shown to be better" in str(skipped.because)


@pytest.mark.long
@pytest.mark.full
def test_motive_cost_names_a_student_in_place_of_the_teacher_that_runs_today(study):
    """The gate does not count what runs today as a rival: it is the teacher's own model."""
    teacher, student = Counting(), {"distil": {"student": "classifier", "samples": 1}}
    money = {"machine_hour": 0.01, "prices": {"m": {"in": 100.0, "out": 100.0}}}
    path, go = study(teacher, "present", student, success={"motive": "cost"}, economics=money,
                     budget={"usd": 50}, free=500, test=150)  # fmt: skip
    text = path.read_text().replace('"arms"', '"present": {"model": "SPEC"}, "arms"')
    spec = text.split('"teacher": "')[1].split('"')[0]
    path.write_text(text.replace("SPEC", spec))
    done = go()
    arms, name = arms_of(done), "distil(student=classifier, samples=1)"
    assert arms["present"].score.mean == 1
    assert (done.verdict.use, done.verdict.arm) == ("distil", name)
    assert arms[name].usd_per_1k < arms["present"].usd_per_1k / 10


@pytest.mark.long
@pytest.mark.full
def test_p6_a_cap_in_the_middle_stops_cleanly_and_a_higher_one_goes_on(study):
    teacher = Counting(busy=11)
    path, go = study(teacher, **PRICED, budget={"usd": 0.008})
    with pytest.raises(BudgetError, match="could pass the cap"):
        go()
    before = len(teacher.answered)
    assert 90 < before < 360, "in the middle of the pairs"
    assert before * 32e-6 <= 0.008
    path.write_text(path.read_text().replace('"usd": 0.008', '"usd": 1'))
    done = go()
    assert len(teacher.answered) == len(set(teacher.answered)) == 360
    told = next(r for r in done.results.runs if r.spec.name == NAME).trace["distilled"]["pairs"]
    assert told["usd"] == pytest.approx(270 * 32e-6)


@pytest.mark.full
def test_p6_killed_at_any_request_no_recorded_answer_is_asked_again(study):
    teacher = Counting(busy=7)
    _, go = study(teacher, max_connections=4)
    ends = []
    for kill in range(KILLS + 1):
        pid = os.fork()
        if pid == 0:
            try:
                go()
            finally:
                os._exit(0)
        if kill < KILLS:
            teacher.victim = (pid, teacher.seen + 5 + 360 // (KILLS + 1))
        while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            time.sleep(0.02)
        ends.append(os.waitstatus_to_exitcode(ended[1]))
        teacher.victim = None
    assert ends == [-signal.SIGKILL] * KILLS + [0]
    whole = go()
    assert whole.verdict.use == "distil"
    twice = len(teacher.answered) - len(set(teacher.answered))
    assert twice <= KILLS * 4, "at most those in flight at a kill, whose outcome is unknown"
    assert len(set(teacher.answered)) == 360
    told = " ".join(map(str, whole.results.reproduce.values()))
    assert ("outcome" in told) == (twice > 0)


@pytest.mark.full
def test_no_vote_is_asked_on_inputs_that_a_student_learnt(study):
    path, go = study(Counting(), "zero_shot", STUDENT, test=60, free=60, train=40)
    done = go()
    assert done.verdict.status == "provisional"
    assert arms_of(done)[NAME].score is not None
    settling = open_settling(path, RunOptions(pay=True, brief=True))
    with pytest.raises(TaskError, match="no input is new") as refused, settling:
        pass
    assert "learnt from them" in str(refused.value)
