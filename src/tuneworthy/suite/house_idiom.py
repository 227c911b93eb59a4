"""Small Python functions in a house idiom: annotated, one-line docstring, no loops, tests a row."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

from tuneworthy.core.errors import TaskError
from tuneworthy.suite._draw import draw_distinct
from tuneworthy.suite._made import LORA, GeneratedTask, two_thirds
from tuneworthy.suite._words_idiom import (
    ASKS,
    JOBS,
    MORE_THINGS,
    THINGS,
    Function,
    RecordKind,
)

TASK = {
    "name": "house-idiom",
    "instruction": "Write the Python function in our idiom. Answer with the code only.",
    "output": {"type": "text", "max_tokens": 144},
    "success": {
        "metric": "code+rouge_l",
        "options": {
            "require": ["docstring", "annotations", "Return"],
            "forbid": ["For", "While", "Lambda", "call:print"],
            "run": False,
        },
        "margin": 0.10,
    },
    "arms": ["majority", "zero_shot", "few_shot", {"lora": LORA}],
    "seeds": 1,
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return n requests for a function; a row's `meta.tests` pass with its right answer.

    No function is requested twice. More than 462 rows need more things. Raises TaskError where
    there are no more functions.
    """
    rng, cells = Random(f"house_idiom {seed}"), _functions(THINGS)
    if n > len(cells):
        cells = _functions((*THINGS, *MORE_THINGS))
    if n > len(cells):
        raise TaskError("there are no more functions", got=str(n), fix=f"{len(cells)} rows or less")
    rng.shuffle(cells)
    rows = draw_distinct(n, lambda i: _row(rng, *cells[i]))
    return GeneratedTask(
        tuple(rows), TASK, "convention", two_thirds(n), "House idiom", str(__doc__)
    )


def _functions(things: tuple[RecordKind, ...]) -> list[tuple[RecordKind, Function, str, str]]:
    return [(thing, job, amount, flag) for thing in things for job in JOBS
            for amount, flag in product(thing.amounts, thing.flags)]  # fmt: skip


def _row(rng: Random, thing: RecordKind, job: Function, amount: str, flag: str) -> dict[str, Any]:
    words = {"many": thing.many, "one": thing.one, "n": str(rng.randrange(1, 40)),
             "amount": amount, "flag": flag}  # fmt: skip
    name = job.name.format(**words)
    asked = rng.choice(ASKS).format(call=f"{name}({thing.many})", asked=job.asked.format(**words))
    code = _code(job, thing, name, words)
    return {"input": asked, "output": code, "meta": {"tests": _tests(rng, name, code, words)}}


def _code(job: Function, thing: RecordKind, name: str, words: dict[str, str]) -> str:
    body = job.body.format(**words)
    imports = "from operator import itemgetter\n\n\n" if "itemgetter" in body else ""
    return (
        f"{imports}def {name}({thing.many}: list[dict]) -> {job.returns}:\n"
        f'    """{job.told.format(**words)}"""\n'
        f"    {body}"
    )


def _tests(rng: Random, name: str, code: str, words: dict[str, str]) -> list[str]:
    """Return three asserts that hold for this code, the first on no records; runs only our code."""
    names: dict[str, Any] = {}
    exec(code, names)
    samples = [[], *([_record(rng, words, at) for at in range(size)] for size in (1, 4))]
    return [f"assert {name}({sample!r}) == {names[name](sample)!r}" for sample in samples]


def _record(rng: Random, words: dict[str, str], at: int) -> dict[str, Any]:
    flag = rng.random() < 0.6
    return {"name": "abcd"[at], words["amount"]: rng.randrange(1, 60), words["flag"]: flag}
