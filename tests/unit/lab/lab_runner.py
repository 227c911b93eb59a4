"""A fake experiment: it sends the events of a run of six steps. A process loads it."""

import os
import signal
import time

from tuneworthy.lab.events import RunStopped
from tuneworthy.records.failure import RunFacts

SLOW, SLOW_RATE, FAILS = 0.15, 0.5, 0.25  # seconds a step at this rate; the rate that fails
DIES, WAITS = "die", "wait"  # inputs of a play that end the worker, and that take a minute


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
        "questions": [{"input": "asked", "gold": "right"}],
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
        "checks": [
            {
                "what": "twin",
                "passed": order.twin is not None,
                "value": str(order.twin and order.twin.score),
            }
        ],
    }


def play(order, emit, control):
    """Answer with three tokens and an end, or measure a strength; the input may ask for a fault."""
    asked = order.config
    if asked.get("input") == DIES:
        os.kill(os.getpid(), signal.SIGKILL)
    told = {key: asked.get(key) for key in ("task", "input", "arm")}
    strength = {"strength": asked.get("strength"), "rows": 20}
    emit({"kind": "begin", **(told if asked.get("arm") else strength), "ends": ["<|im_end|>"],
          "gold": None, "prompt_tokens": 9, "passage_text": None})  # fmt: skip
    state, words = "done", ["{", f'"{asked.get("input")}"', "}", "<|im_end|>"]
    words = ["wait "] * 400 if asked.get("input") == WAITS else words
    try:
        for at, word in enumerate(words if asked.get("arm") else ()):
            time.sleep(SLOW if asked.get("input") == WAITS else 0.01)
            others = [[word, -0.1], ["other", -2.5], ["third", -4.0]]
            emit({"kind": "tokens", "from": at, "tokens": [[word, -0.1 * at, others]]})
            control()
        if asked.get("arm"):
            emit({"kind": "answer", "text": "".join(words[:-1]), "tokens": 4,
                  "ended": True, "score": None, "valid": True, "error": None})  # fmt: skip
        else:
            emit({"kind": "stop", "strength": asked["strength"], "answers": 20, "valid": 0.5,
                  "score": 0.4, "ended": 10, "text": "live", "whole": True})  # fmt: skip
    except RunStopped:
        state = "stopped"
    emit({"kind": "end", "state": state, "because": None, "seconds": 0.1})


def fake(emit):
    """Open a runner that takes as many steps as the configuration has epochs, `rate` s each."""

    def run(order, emit, control):
        if order.role == "play":
            play(order, emit, control)
            return
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
