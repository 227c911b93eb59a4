"""Answer prompts with our engine and with transformers' generate, alternately, in one run.

usage: generate.py [repetitions]   64 prompts that share an instruction, 24 new tokens each, greedy
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

from tuneworthy.core.case import Message
from tuneworthy.core.model import Limits
from tuneworthy.models import open_model
from tuneworthy.suite import clause_type

PROMPTS, NEW = 64, 24
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the benchmark, print the ratio of medians and write bench/results/generate.json."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    model = open_model("smollm2-135m", folder=Path())
    system = Message(role="system", content=clause_type.TASK["instruction"] + RULES)
    rows = clause_type.make(0).rows[:PROMPTS]
    prompts = [(system, Message(role="user", content=row["input"])) for row in rows]
    ours, theirs = [], []
    for _ in range(repetitions + 1):  # the first pair is warm-up
        ours.append(timed(lambda: model.reply(prompts, Limits(max_tokens=NEW))))
        theirs.append(timed(lambda: generate(model, prompts)))
    ours, theirs = ours[1:], theirs[1:]
    ratio = statistics.median(theirs) / statistics.median(ours)
    told = {
        "machine": f"{platform.machine()}, {platform.processor() or 'cpu'}",
        "versions": {name: version(name) for name in ("torch", "transformers", "tuneworthy")},
        "n": repetitions, "prompts": PROMPTS, "new_tokens": NEW,
        "seconds_ours": ours, "seconds_transformers": theirs, "ratio": ratio,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "generate.json").write_text(json.dumps(told, indent=2) + "\n")
    print(f"generate: {ratio:.2f} times transformers (median of {repetitions})")


RULES = " Answer with one label: " + ", ".join(clause_type.LABELS) + "."


def timed(work: object) -> float:
    """Return the seconds a call takes."""
    start = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - start


def generate(model: object, prompts: object) -> None:
    """Answer with transformers: the same ids, left padding, one batch, greedy."""
    import torch

    tokenizer, module = model.tokenizer, model.module  # type: ignore[attr-defined]
    texts = [
        tokenizer.apply_chat_template(
            [m.model_dump() for m in prompt], add_generation_prompt=True, tokenize=False
        )
        for prompt in prompts  # type: ignore[attr-defined]
    ]
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.inference_mode():
        module.generate(**batch, max_new_tokens=NEW, do_sample=False)


if __name__ == "__main__":
    main()
