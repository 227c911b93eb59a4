"""How time grows with rows, prompt length, shots, arms and cases: fitted exponents.

usage: scaling.py [repetitions]   of each point the fastest of so many is taken (usually 3); the
exponent is the slope of log seconds over log size, over the points of at least 10 ms
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from _bench import exponent, repetitions, write

from tuneworthy.arms import tfidf
from tuneworthy.arms.prompt.messages import build
from tuneworthy.explain.comparison import compare
from tuneworthy.matrix.inputs import ComparisonInputs
from tuneworthy.models import open_model
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.arm import Recipe, Setup
from tuneworthy.records.case import Case, Message
from tuneworthy.records.model import Limits
from tuneworthy.records.run import Run, Spec
from tuneworthy.rows.audit import audit
from tuneworthy.rows.folds import Part, Split, split
from tuneworthy.rows.load import load
from tuneworthy.rows.taskfile import read_task
from tuneworthy.verdict.decide import decide, grid
from tuneworthy.verdict.rungs import policy_of

ROWS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
TOKENS = (64, 128, 256, 512, 1024)
SHOTS = (1, 2, 4, 8, 16)
ARMS = (2, 3, 4, 6, 8, 10)
CASES = (100, 300, 1_000, 3_000, 10_000)
WORDS = [f"{a}{b}" for a in ("lo", "mi", "ra", "tu", "ve", "so", "ke", "pa") for b in range(500)]
Work = Callable[[], Any]


def rows(folder: Path, n: int) -> Path:
    """Write n short rows of ten labels, each with a hint at its label; return the task file."""
    draw = Random(0)
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as file:
        for _ in range(n):
            label = draw.randrange(10)
            said = [*draw.choices(WORDS, k=9), f"hint{label if draw.random() < 0.8 else 0}"]
            file.write(json.dumps({"input": " ".join(said), "output": f"label {label}"}) + "\n")
    task = {"name": "rows", "data": {"file": "rows.jsonl"}}
    (folder / "task.yaml").write_text(json.dumps(task), "utf-8")  # JSON is YAML
    return folder / "task.yaml"


def by_rows(n: int, folder: Path) -> dict[str, Work]:
    """Return what is done to n rows: load, split and audit, fit and predict the classifier."""
    task = read_task(rows(folder, n))
    loaded = load(task)

    def audited() -> None:
        loaded.__dict__.pop("alike", None)  # compared anew each time
        audit(loaded, split(loaded))

    def classified() -> None:
        cases = loaded.cases
        setup = Setup(loaded.task, cases, (), {}, lambda case, answer: Score(value=0.0), folder)
        fitted = tfidf.fit(setup, tfidf.Options(), 0)
        fitted.answer([case.query() for case in cases[:100]])

    return {"load": lambda: load(task), "split and audit": audited, "classifier": classified}


def by_tokens(n: int, model: Any) -> dict[str, Work]:
    """Return reading eight prompts of about n tokens with nothing shared, one token out."""
    draw = Random(n)
    prompts = []
    for _ in range(8):
        text = " ".join(draw.choices(WORDS, k=n))
        ids = model.tokenizer(text, add_special_tokens=False)["input_ids"][: n - 30]
        prompts.append([Message(role="system", content=model.tokenizer.decode(ids))])
        prompts[-1].append(Message(role="user", content="Go on."))
    return {"read prompts": lambda: model.reply(prompts, Limits(max_tokens=1))}


def by_shots(n: int, model: Any, cases: Sequence[Case], task: Any) -> dict[str, Work]:
    """Return building and reading sixteen prompts of n fixed examples, one token out."""
    recipe = Recipe(kind="few", k=n)

    def asked() -> None:
        prompts = [build(task, case.query(), recipe, cases[16:]) for case in cases[:16]]
        model.reply(prompts, Limits(max_tokens=1))

    return {"shots": asked}


def by_matrix(arms: int, n: int, task: Any) -> Work:
    """Return comparing and judging so many arms with recorded answers on n cases."""
    draw = Random(0)
    ids = [f"c{i:06d}" for i in range(n)]
    cases = [
        Case(id=i, messages=(Message(role="user", content=f"input {i}"),), output="yes")
        for i in ids
    ]
    cuts = [n * fold // 5 for fold in range(6)]
    tests = [tuple(ids[low:high]) for low, high in pairwise(cuts)]
    parts = tuple(
        Part(train=tuple(i for t in tests if t is not test for i in t), dev=(), test=test)
        for test in tests
    )
    runs = []
    for arm in range(arms):
        tool = ("keep", "classifier", "prompt", "schema", "tune")[arm % 5]
        spec = Spec(name=f"arm{arm}", arm="answers", tool=tool, simplicity=arm)
        for fold, test in enumerate(tests):
            right = [draw.random() < 0.5 + 0.03 * arm for _ in test]
            runs.append(
                Run(
                    spec=spec, seed=0, fold=fold, state="measured", dev=0.5 + 0.03 * arm,
                    answers=tuple(Answer(case=i, text="yes" if r else "no", seconds=0.1)
                                  for i, r in zip(test, right, strict=True)),
                    scores=tuple(Score(value=float(r)) for r in right),
                )
            )  # fmt: skip
    shape = ComparisonInputs(task, "0" * 64, Split(k=5, parts=parts))

    def judged() -> None:
        evidence = compare(shape, cases, runs)
        decide(evidence, (), policy_of(task))
        grid(evidence, (), policy_of(task))

    return judged


def curves(most_rows: int) -> dict[str, tuple[Sequence[int], Callable[[int, Path], Any]]]:
    """Return {what: (sizes, size -> what is timed)}."""
    model: Any = open_model("smollm2-135m", folder=Path())
    home = Path(tempfile.mkdtemp())
    loaded = load(read_task(rows(home, 400)))
    task = loaded.task
    return {
        "rows": ([n for n in ROWS if n <= most_rows], by_rows),
        "prompt tokens": (TOKENS, lambda n, folder: by_tokens(n, model)),
        "shots": (SHOTS, lambda n, folder: by_shots(n, model, loaded.cases, task)),
        "arms": (ARMS, lambda n, folder: {"judge 1,000 cases": by_matrix(n, 1000, task)}),
        "cases": (CASES, lambda n, folder: {"judge 5 arms": by_matrix(5, n, task)}),
    }


def fastest(work: Work, times: int) -> float:
    """Return the least seconds of so many calls; a call of over 20 s is not repeated."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        work()
        took = time.perf_counter() - start
        best = min(best, took)
        if took > 20:
            break
    return best


def main() -> None:
    """Run all curves, print exponents and write bench/results/scaling.json."""
    times = repetitions(3)
    most = int(sys.argv[2]) if len(sys.argv) > 2 else ROWS[-1]
    told: dict[str, Any] = {}
    summary = {}
    for axis, (sizes, at) in curves(most).items():
        with tempfile.TemporaryDirectory() as folder:
            for work in at(sizes[0], Path(folder)).values():
                work()  # imports and first calls are not counted
        for n in sizes:
            with tempfile.TemporaryDirectory() as folder:
                for what, work in at(n, Path(folder)).items():
                    took = fastest(work, times)
                    told.setdefault(f"{what} by {axis}", {})[n] = round(took, 5)
                    print(f"  {what}, {n} {axis}: {took:.3f} s", file=sys.stderr, flush=True)
    out = {}
    for what, seconds in told.items():
        timed = {n: s for n, s in seconds.items() if s >= 0.01}
        slope = exponent(list(timed), list(timed.values())) if len(timed) > 1 else None
        last = list(timed)[-3:]  # a square that only begins to matter shows here
        steep = exponent(last, [timed[n] for n in last]) if len(last) > 1 else None
        out[what] = {"seconds": seconds, "exponent": slope, "points": len(timed), "at_end": steep}
        summary[f"{what}: exponent of {len(timed)} points"] = slope
        print(f"scaling: {what}: exponent {slope} of {len(timed)} points, {steep} at the end")
    write("scaling", {"n": times, "curves": out, "summary": summary})


if __name__ == "__main__":
    main()
