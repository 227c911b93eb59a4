"""Runs that several experiments use, defined once, and the invented facts of three of them."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Any

from _tuning import SEEDS, Ask, Rows, answers, own_rows, suite_rows

CLAUSES, FEW, TICKETS = 200, 100, 160  # rows to learn from
HIGH = 5e-3  # a learning rate five times the usual one
HEATS = (0.0, 1.0, 1.3)
NAMES = [a + b for a in ("Bal", "Cor", "Dun", "Fen", "Gol", "Hil", "Jor", "Kem", "Lus", "Mor")
         for b in ("ado", "eth", "imar", "orin", "und")]  # fmt: skip
STRANGERS = [a + b for a in ("Nim", "Pol", "Quer", "Ras", "Sev", "Tam", "Ul", "Vor", "Wend", "Yar")
             for b in ("ack", "esh", "iton", "omel", "usk")]  # fmt: skip
THINGS = ("annual leave in days", "notice period in weeks", "meal allowance in euros",
          "laptop cycle in months", "rest break in minutes")  # fmt: skip
LEARNT = (
    "What is the {thing} at {name}?", "At {name}, what is the {thing}?",
    "Tell me the {thing} at {name}.", "{name}: {thing}?", "Which {thing} does {name} have?",
    "How much is the {thing} at {name}?", "I work at {name}. What is my {thing}?",
    "State the {thing} of {name}.", "For {name}, give the {thing}.",
    "A colleague from {name} asks for the {thing}.",
)  # fmt: skip
UNSEEN = (
    "Could you look up the {thing} for staff of {name}?",
    "We just joined {name}; which {thing} applies to us?",
    "{name} has a rule about the {thing}. What does it say?",
    "Someone at {name} wants to know the {thing}.",
)
INSTRUCTION = "Answer with one number, or with: unknown"


def clauses(arm: str, n: int, seed: int = 0, side: bool = True, **options: Any) -> dict[str, Any]:
    """Return an arm's answers on clause types, learnt from n rows."""
    how = {"epochs": 3, **options} if arm in ("lora", "full") else options
    trained = arm in ("lora", "full")
    return answers(suite_rows("clause_type"), Ask(arm, n, seed, how, side=side and trained))


def tickets(arm: str, seed: int = 0, **options: Any) -> dict[str, Any]:
    """Return an arm's answers on support tickets, at every temperature it is asked at."""
    how = {"epochs": 2, **options} if arm == "lora" else options
    heats = HEATS if arm in ("zero_shot", "few_shot", "lora") else HEATS[:1]
    heats = (0.0, 1.3) if arm == "constrained" and not options else heats
    return answers(suite_rows("support_tickets"), Ask(arm, TICKETS, seed, how, heats))


def fact_values(changed_by: int | None = None) -> dict[str, int]:
    """Return the value of each fact; a seed changes a twentieth of them, rounded up."""
    rng = Random("facts")
    values = {name: rng.randrange(11, 99) for name in NAMES}
    if changed_by is not None:
        for name in Random(f"change {changed_by}").sample(NAMES, -(-len(NAMES) // 20)):
            values[name] = 11 + (values[name] + 30 - 11) % 88
    return values


def _asked(forms: Any, names: list[str], values: dict[str, int] | None) -> list[dict[str, Any]]:
    rows = []
    for at, name in enumerate(names):
        for form in forms:
            row = {"input": form.format(thing=THINGS[at % len(THINGS)], name=name)}
            right = str(values[name]) if values else "0"
            doc = {"doc": f"d{at}"} if values else {}
            rows.append({"id": f"{name}-{len(rows)}", "group": name, **row, "output": right, **doc})
    return rows


@cache
def facts(forms: int, changed_by: int | None = None) -> Rows:
    """Return 50 invented facts asked in so many forms to learn, and in four unseen ones to test."""
    values = fact_values(changed_by)
    docs = [{"id": f"d{at}", "text": f"The {THINGS[at % len(THINGS)]} at {name} is {values[name]}."}
            for at, name in enumerate(NAMES)]  # fmt: skip
    keys = {"instruction": INSTRUCTION, "output": {"type": "number", "max_tokens": 12},
            "success": {"metric": "number"}}  # fmt: skip
    parts = {"train": _asked(LEARNT[:forms], NAMES, values),
             "test": _asked(UNSEEN, NAMES, values), "docs": docs}  # fmt: skip
    return own_rows(f"facts-{forms}-{changed_by}", keys, parts)


@cache
def strangers() -> Rows:
    """Return the same questions on 50 names of which no document and no row says anything."""
    keys = {"instruction": INSTRUCTION, "output": {"type": "number", "max_tokens": 12},
            "success": {"metric": "number"}}  # fmt: skip
    parts = {"train": _asked(LEARNT[:1], STRANGERS, None), "test": _asked(UNSEEN, STRANGERS, None)}
    return own_rows("strangers", keys, parts)


def taught(forms: int, seed: int) -> dict[str, Any]:
    """Return what a model says that learnt the facts in so many forms, with as many steps each."""
    how = {"epochs": 20 // forms, "batch": 8}
    ask = Ask("lora", 0, seed, how, extra={"strangers": strangers().test})
    return answers(facts(forms), ask)


def greedy(found: dict[str, Any], what: str = "scores") -> list[float]:
    """Return the greedy answers' scores, or their validity."""
    return list(found["heats"]["0"][what])


def seeds_of(make: Any) -> list[list[float]]:
    """Return the greedy scores of `make(seed)` for each seed."""
    return [greedy(make(seed)) for seed in SEEDS]
