"""Small Python functions in a house idiom: annotated, one-line docstring, no loops, tests a row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from random import Random
from typing import Any, NamedTuple

from tuneworthy.records.errors import TaskError
from tuneworthy.suite._made import (
    LORA_OPTIONS,
    GeneratedTask,
    draw_distinct,
    load_words,
    two_thirds,
)

WORDS = load_words("idiom")


class Function(NamedTuple):
    """A function to write: templates of its name, request, return type, docstring and body."""

    name: str
    request: str
    returns: str
    docstring: str
    body: str


class _RecordKind(NamedTuple):
    """A kind of record: its plural and singular, its numeric fields, its boolean fields."""

    plural: str
    singular: str
    amounts: tuple[str, ...]
    flags: tuple[str, ...]


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
    "arms": ["majority", "zero_shot", "few_shot", {"lora": LORA_OPTIONS}],
    "seeds": 1,
}


def make(seed: int, n: int = 360) -> GeneratedTask:
    """Return a task of n requests for a function; a row's `meta.tests` pass with its right answer.

    No function is requested twice. Beyond 462 rows it uses further kinds of records. Raises
    TaskError if n exceeds the number of functions.
    """
    rng, cells = Random(f"house_idiom {seed}"), _function_variants(WORDS.record_kinds)
    if n > len(cells):
        cells = _function_variants((*WORDS.record_kinds, *WORDS.more_record_kinds))
    if n > len(cells):
        raise TaskError("there are no more functions", got=str(n), fix=f"{len(cells)} rows or less")
    rng.shuffle(cells)
    rows = draw_distinct(n, lambda i: _draw_row(rng, *cells[i]))
    return GeneratedTask(
        tuple(rows), TASK, "convention", two_thirds(n), "House idiom", str(__doc__)
    )


def _function_variants(
    things: Iterable[Sequence[Any]],
) -> list[tuple[_RecordKind, Function, str, str]]:
    jobs = [Function(*parts) for parts in WORDS.functions]
    kinds = [_RecordKind(*parts) for parts in things]
    return [(kind, job, amount, flag) for kind in kinds for job in jobs
            for amount, flag in product(kind.amounts, kind.flags)]  # fmt: skip


def _draw_row(
    rng: Random, thing: _RecordKind, job: Function, amount: str, flag: str
) -> dict[str, Any]:
    words = {"many": thing.plural, "one": thing.singular, "n": str(rng.randrange(1, 40)),
             "amount": amount, "flag": flag}  # fmt: skip
    name = job.name.format(**words)
    asked = rng.choice(WORDS.request_wordings).format(
        call=f"{name}({thing.plural})", asked=job.request.format(**words)
    )
    code = _function_code(job, thing, name, words)
    return {
        "input": asked,
        "output": code,
        "meta": {"tests": _assert_lines(rng, name, code, words)},
    }


def _function_code(job: Function, thing: _RecordKind, name: str, words: dict[str, str]) -> str:
    body = job.body.format(**words)
    imports = "from operator import itemgetter\n\n\n" if "itemgetter" in body else ""
    return (
        f"{imports}def {name}({thing.plural}: list[dict]) -> {job.returns}:\n"
        f'    """{job.docstring.format(**words)}"""\n'
        f"    {body}"
    )


def _assert_lines(rng: Random, name: str, code: str, words: dict[str, str]) -> list[str]:
    """Return three asserts that hold for the code, the first on no records; executes the code."""
    names: dict[str, Any] = {}
    exec(code, names)
    samples = [[], *([_draw_record(rng, words, at) for at in range(size)] for size in (1, 4))]
    return [f"assert {name}({sample!r}) == {names[name](sample)!r}" for sample in samples]


def _draw_record(rng: Random, words: dict[str, str], at: int) -> dict[str, Any]:
    flag = rng.random() < 0.6
    return {"name": "abcd"[at], words["amount"]: rng.randrange(1, 60), words["flag"]: flag}
