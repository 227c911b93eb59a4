"""Would more context fix it? Passages, tuning, and both, on a folder of questions and documents.

usage: context.py FOLDER OUT [ROWS] [few]

FOLDER holds train.jsonl, test.jsonl and docs.jsonl; ROWS (200) of each of the two are drawn, of the
first 40 to choose on. OUT gets the study: call again to go on where it stopped. `few` adds fixed
examples, so that the passages stand on the better of two prompts. Prints how well passages are
found and every arm's score with its interval, then the differences that the question is about.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tuneworthy
from tuneworthy.arms.retrieval.chunks import encoder_here
from tuneworthy.arms.retrieval.gold import Quality, quality
from tuneworthy.arms.retrieval.index import index
from tuneworthy.flows.session import RunOptions, read
from tuneworthy.records.answer import Score
from tuneworthy.stats.bounds import paired

INSTRUCTION = "Answer the question in as few words as possible."
WORDS = {"dense": False}
ARMS = [
    "majority", "zero_shot", "oracle", {"oracle": {"wrong": True}},
    {"rag": {"k": 1, **WORDS}}, {"rag": {"k": 4, **WORDS}}, {"rag": {"k": 1}},
    {"rag": {"k": 1, "random": True, **WORDS}}, "lora", {"rag_lora": WORDS},
]  # fmt: skip
PAIRS = (
    ("oracle", "zero_shot"), ("oracle", "oracle(wrong=True)"),
    ("rag(k=1, dense=False)", "zero_shot"), ("rag(k=1, dense=False)", "oracle"),
    ("rag(k=4, dense=False)", "rag(k=1, dense=False)"), ("rag(k=1)", "rag(k=1, dense=False)"),
    ("lora", "zero_shot"), ("rag_lora(dense=False)", "lora"),
    ("rag_lora(dense=False)", "rag(k=1, dense=False)"),
)  # fmt: skip


def main() -> None:
    """Write the task, run the study, print the tables."""
    folder, out = (Path(one).resolve() for one in sys.argv[1:3])
    rows = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    out.mkdir(parents=True, exist_ok=True)
    task = {
        "name": "context",
        "instruction": INSTRUCTION,
        "data": {key: str(folder / f"{key}.jsonl") for key in ("train", "test", "docs")},
        "output": {"type": "text"},
        "success": {"metric": "token_f1", "margin": 0.05},
        "arms": [*(["few_shot"] if "few" in sys.argv else []), *ARMS],
        "seeds": 1,
        "budget": {"minutes": 600},
    }
    (out / "task.yaml").write_text(json.dumps(task, indent=1), "utf-8")
    found(out / "task.yaml")
    study = tuneworthy.run(out / "task.yaml", RunOptions(limit=rows), said)
    scores(study)


def said(event: str, data: object) -> None:
    """Show what is going on, on stderr."""
    if event in {"arm", "say"}:
        print(getattr(getattr(data, "spec", None), "name", data), file=sys.stderr, flush=True)


def found(task: Path) -> None:
    """Print recall and reciprocal rank of words alone and with vectors, over all rows."""
    loaded, _ = read(task, RunOptions())
    encoder, why = encoder_here()
    parts = [("words", None)] + ([("words and vectors", encoder)] if encoder else [])
    for name, one in parts:
        searched = index(loaded.docs, encoder=one)
        for part, cases in (("test", loaded.test or ()), ("all", loaded.everyone)):
            print(f"{name:18} {part:5} {line(quality(searched, cases))}", flush=True)
    if why:
        print(f"without vectors: {why}")


def line(told: Quality) -> str:
    """Return a quality in one line."""
    recall = [f"recall@{k} {part(r)}" for k, r in (told.recall or {}).items()]
    return f"n {told.n}  " + "  ".join([*recall, f"MRR {part(told.mrr)}"])


def part(interval: Any) -> str:
    """Return an interval in short."""
    if interval is None:
        return "not measured"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def scores(study: tuneworthy.Study) -> None:
    """Print every arm's score, and the paired differences with two-sided 95 % bounds."""
    values: dict[str, dict[str, float]] = {}
    for run in study.results.runs:
        pairs = zip(run.answers, run.scores, strict=True)
        values[run.spec.name] = {a.case: s.value for a, s in pairs if isinstance(s, Score)}
    for arm in study.results.evidence.arms:
        text = part(arm.score) if arm.score else f"{arm.state}: {arm.because}"
        print(f"{arm.name:26} n {arm.n:4}  {text}  fit {arm.fit_seconds} s")
    for one, other in PAIRS:
        ids = sorted(set(values.get(one, ())) & set(values.get(other, ())))
        if ids:
            bound = paired(np.array([values[one][i] - values[other][i] for i in ids]), 0.025)
            print(f"{one} - {other}: {part(bound)} n {len(ids)}")


if __name__ == "__main__":
    main()
