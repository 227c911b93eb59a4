"""A fake experiment: it sends the events of a run of six steps. A process loads it."""

import time

from tuneworthy.core.failure import RunFacts
from tuneworthy.lab.events import RunStopped

SLOW, SLOW_RATE, FAILS = 0.15, 0.5, 0.25  # seconds a step at this rate; the rate that fails


def begin(order):
    return {
        "kind": "begin",
        "schema": 1,
        "id": order.id,
        "case": order.case,
        "role": order.role,
        "config": order.config,
        "seed": order.seed,
        "steps": 6,
        "rows": [],
        "questions": [],
    }


def steps(number):
    return {
        "kind": "steps",
        "from": number,
        "loss": [1 / number],
        "norm": [1.0],
        "rate": [1e-3],
        "clipped": [0],
        "left_s": 0.1,
    }


def end(order, state="done", done=6, because=None):
    facts = RunFacts(steps=done, p_end=0.9, score=0.5).plain()
    return {
        "kind": "end",
        "state": state,
        "because": because,
        "seconds": 0.2,
        "facts": facts,
        "finding": {"found": True, "value": 0.0, "because": "told"},
        "checks": [{"what": "twin", "passed": order.twin is not None, "value": ""}],
    }


def fake(emit):
    """Open a runner that takes as many steps as the configuration has epochs, `rate` s each."""

    def run(order, emit, control):
        rate = order.config["rate"]
        if rate == FAILS:
            raise OSError(28, "No space left on device")
        emit(begin(order))
        done = 0
        try:
            for number in range(1, 7):
                time.sleep(SLOW if rate == SLOW_RATE else 0.001)
                emit(steps(number))
                done = number
                control()
        except RunStopped:
            emit(end(order, "stopped", done, f"stopped at step {done}"))
            return
        emit(end(order))

    return run
