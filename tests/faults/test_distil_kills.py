"""P2, P3: by kills and failures no answer of a teacher is asked for twice, and no cap is passed.

The pairs alone are written, without a study around them, so one kill takes a tenth of a second. The
server stays alive in this process and counts; what is killed is a forked child.
"""

import json
import os
import random
import signal
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from tests import distil_kit, studies

sys.path.append(str(Path(__file__).parents[1] / "unit" / "models"))
from models_kit import Server, says

from tuneworthy.arms._pairs import PairOptions, TeacherInput, write_pairs
from tuneworthy.models.openai_compatible import Remote
from tuneworthy.models.remote.endpoint import endpoint
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.wire import RetryPolicy
from tuneworthy.records.arm import Setup
from tuneworthy.records.case import Message, Query
from tuneworthy.records.errors import BudgetError, ProviderError
from tuneworthy.records.task import Data, Output, Task
from tuneworthy.store.purse import SpendingCap, unknown_costs
from tuneworthy.store.store import open_ledger

INPUTS, SAMPLES, MOST_TOKENS = 24, 3, 8
TASK = Task(data=Data(file="rows.jsonl"), seed=3,
            output=Output(type="label", labels=studies.LABELS, max_tokens=MOST_TOKENS))  # fmt: skip
SOURCES = [TeacherInput(Query(id=row["id"], messages=(Message(role="user", content=row["input"]),)))
           for row in distil_kit.rows(INPUTS, 3)]  # fmt: skip
KILLS = 200


@dataclass
class Teacher:
    """A server that counts what it is asked and bills, fails as drawn, and kills as told."""

    draw: random.Random
    failing: float = 0.0
    price: tuple[Decimal, Decimal] = (Decimal(1), Decimal(1))  # USD per million tokens
    answered: Counter = field(default_factory=Counter)
    seen: Counter = field(default_factory=Counter)
    billed: Decimal = Decimal(0)
    tokens: int = 0
    kill: tuple[int, int, float] | None = None  # (requests from now, process, seconds)
    child: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, body):
        with self.lock:
            text = body["messages"][-1]["content"]
            request = text, body["seed"]
            self.seen[request] += 1
            self._strike()
            if self.draw.random() < self.failing and self.draw.random() < 0.7:
                status = self.draw.choice([429, 500, 503])
                return {"status": status, "json": {"error": {"message": "later"}},
                        "headers": {"retry-after": "0"}}  # fmt: skip
            asked = self.draw.randint(1, len(text.encode()))
            made = self.draw.randint(1, body.get("max_tokens", MOST_TOKENS))
            self.billed += (asked * self.price[0] + made * self.price[1]) / 1_000_000
            self.tokens += asked + made
            if self.draw.random() < self.failing:  # billed, and not understood
                return self.draw.choice([{"raw": b"<html>"}, {"raw": b'{"cho', "promise": 90},
                                         says("x", usage={"prompt_tokens": -1})])  # fmt: skip
            self.answered[request] += 1
            usage = {"prompt_tokens": asked, "completion_tokens": made}
            return says(distil_kit.label(text), usage=usage)

    def _strike(self):
        if self.kill is None:
            return
        left, process, seconds = self.kill
        self.kill = (left - 1, process, seconds)
        if left <= 1:
            self.kill = None
            timer = threading.Timer(seconds, self._end, (process,))
            timer.daemon = True
            timer.start()

    def _end(self, process):
        if self.child == process:  # it has not ended by itself
            os.kill(process, signal.SIGKILL)


class Study:
    """Pairs that a teacher writes into the ledger of a folder."""

    def __init__(self, folder, teacher, server, connections, price=(1, 1), usd=None, tokens=None):
        self.folder, self.teacher, self.connections = folder, teacher, connections
        self.where, self.usd, self.tokens = endpoint(server.url), usd, tokens
        self.price = {"in": float(price[0]), "out": float(price[1])}
        folder.mkdir()

    def open(self, ledger):
        purse = SpendingCap(ledger, self.usd, self.tokens, "s")
        policy = RetryPolicy(attempts=4, sleep=lambda seconds: None)
        how = RequestOptions(connections=self.connections)
        return purse, Remote("m", self.where, purse, self.price, policy, how)

    def write(self):
        """Write all pairs; return them and what was spent."""
        with open_ledger(self.folder, say=lambda text: None) as ledger:
            purse, model = self.open(ledger)
            setup = Setup(task=TASK, train=[], dev=[], models={"teacher": model},
                          score=lambda row, answer: None, folder=self.folder)  # fmt: skip
            return write_pairs(setup, model, SOURCES, PairOptions(samples=SAMPLES)), purse.spent()

    def child(self):
        """Start a process that writes all and exits with 0, with 1 if it fails; return its id."""
        if (pid := os.fork()) == 0:
            status = 1
            try:
                self.write()
                status = 0
            finally:
                os._exit(status)
        return pid

    def recorded(self):
        """Return the requests whose answers the ledger has, by (text, seed), and the spending."""
        from tuneworthy.records.model import limits_for

        with open_ledger(self.folder, say=lambda text: None) as ledger:
            purse, model = self.open(ledger)
            found = set()
            for source in SOURCES:
                for sample in range(SAMPLES):
                    drawn = {"temperature": 0.7, "top_p": 0.95, "seed": TASK.seed}
                    limits = limits_for(TASK, MOST_TOKENS, **drawn)
                    limits = limits.model_copy(update={"sample": sample})
                    prompt = self.prompt(source)
                    if model._recorded_reply(prompt, limits, None) is not None:
                        body = model._request_body(prompt, limits, None, 0)
                        found.add((source.query.input, body["seed"]))
            return found, purse.spent(), unknown_costs(purse)

    @staticmethod
    def prompt(source):
        from tuneworthy.arms.prompt.messages import build_all
        from tuneworthy.records.arm import Recipe

        return build_all(TASK, [source.query], Recipe(kind="zero"), ())[0]


def chain(folder, number):
    """Kill one distillation again and again until it completes; return the kills and unknowns."""
    draw = random.Random(number)
    connections = draw.choice([1, 4, 8])
    teacher = Teacher(draw, failing=0.1 * (number % 2))
    server = Server([teacher])
    study = Study(folder, teacher, server, connections, usd=Decimal(1))
    kills, unknown, known = 0, 0, set()
    try:
        while True:
            before = Counter(teacher.seen)
            teacher.child = pid = study.child()
            teacher.kill = (draw.randint(1, 12), pid, draw.choice([0.0, 0.002, 0.01]))
            ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            teacher.kill, teacher.child = None, 0
            asked = {request for request, count in teacher.seen.items() if count > before[request]}
            assert not asked & known, "a recorded answer was asked again"
            after, spent, told = study.recorded()
            assert known <= after, "a recorded answer was lost"
            new = len(spent.unknown) - unknown
            if ended == 0:
                break
            # A teacher that fails too often in a row ends a run, and the next one goes on.
            assert ended == -signal.SIGKILL or (ended == 1 and teacher.failing)
            kills, unknown = kills + (ended < 0), len(spent.unknown)
            broken = sum(teacher.seen.values()) - sum(before.values()) if teacher.failing else 0
            assert new <= connections + broken
            if not teacher.failing:
                assert new <= connections, "more than were in flight"
            lost = sum(teacher.seen.values()) - sum(before.values()) - len(after - known)
            assert new >= lost if not teacher.failing else True, "an attempt is not listed"
            assert bool(told) == bool(spent.unknown), "what is unknown is listed"
            assert teacher.billed <= spent.usd <= 1
            known = after
        written, spent = study.write()
        assert len(written.replies) == INPUTS * SAMPLES
        assert len(after) == INPUTS * SAMPLES
        return kills, len(spent.unknown)
    finally:
        server.close()


@pytest.mark.parametrize(
    "kills", [pytest.param(6, marks=pytest.mark.full), pytest.param(KILLS, marks=pytest.mark.long)]
)
def test_p2_a_killed_distillation_asks_for_no_recorded_answer_again(tmp_path, kills):
    done, number, unknown = 0, 0, 0
    while done < kills:
        struck, lost = chain(tmp_path / str(number), number)
        done, number, unknown = done + struck, number + 1, unknown + lost
    print(json.dumps({"kills": done, "chains": number, "unknown outcomes": unknown}))
    assert unknown > 0, "no kill found a request in flight: the run shows nothing"


def schedule(folder, number):
    """Write pairs under random prices, caps and failures; return whether a cap stopped it."""
    draw = random.Random(f"schedule {number}")
    price = tuple(Decimal(draw.choice(["0.1", "1", "3", "15", "60"])) for _ in range(2))
    teacher = Teacher(draw, failing=draw.choice([0.0, 0.05, 0.3]), price=price)
    server = Server([teacher])
    usd = Decimal(draw.randint(1, 400)) * price[0] / 100_000 if draw.random() < 0.8 else None
    tokens = draw.randint(300, 30_000) if usd is None or draw.random() < 0.4 else None
    study = Study(folder, teacher, server, draw.choice([1, 4, 16]), price, usd, tokens)
    try:
        try:
            _, spent = study.write()
            stopped = False
        except (BudgetError, ProviderError) as error:
            stopped = isinstance(error, BudgetError)
            known, spent, _ = study.recorded()
        assert usd is None or teacher.billed <= spent.usd <= usd
        assert tokens is None or teacher.tokens <= spent.tokens <= tokens
        if stopped:  # a higher cap goes on, and asks for nothing again
            before, study.usd, study.tokens = Counter(teacher.seen), None, None
            teacher.failing = 0.0
            written, _ = study.write()
            again = {request for request in known if teacher.seen[request] > before[request]}
            assert not again
            assert len(written.replies) == INPUTS * SAMPLES
        return stopped
    finally:
        server.close()


@pytest.mark.parametrize(
    "count", [pytest.param(8, marks=pytest.mark.full), pytest.param(500, marks=pytest.mark.long)]
)
def test_p3_no_cap_is_passed_under_random_prices_caps_and_failures(tmp_path, count):
    stopped = sum(schedule(tmp_path / str(number), number) for number in range(count))
    print(json.dumps({"schedules": count, "stopped by a cap": stopped}))
    assert count / 10 < stopped < count, "the caps are too high or too low to show anything"
