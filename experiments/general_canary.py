"""Does an adapter cost general ability? Two-way choices by likelihood, base beside tuned.

usage: general_canary.py ROWS ADAPTER [MODEL]

ROWS is a JSONL file of {"input", "meta": {"choices": [two texts], "gold": 0 or 1}}; ADAPTER a PEFT
folder on MODEL (smollm2-135m). A choice is right where the right text has the higher
log-likelihood a byte after the input. With 497 rows differences below about 6 points stay unseen
(at a fifth of the rows answered otherwise): an illustration beside the cross-entropy on general
text (`tuneworthy.measure.further.harm_checks`), which is what a limit is set on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tuneworthy.models import open_model
from tuneworthy.records.case import Message
from tuneworthy.stats.bounds import paired, rate

SHARD = 100


def main() -> None:
    """Print both models' shares of right choices, and their paired difference."""
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text("utf-8").splitlines()]
    model: Any = open_model(sys.argv[3] if len(sys.argv) > 3 else "smollm2-135m", folder=Path())
    tuned = model.with_adapter(Path(sys.argv[2]).resolve())
    before, after = right(model, rows), right(tuned, rows)
    for name, found in (("base", before), ("tuned", after)):
        low, high = rate(int(found.sum()), len(found))
        print(f"{name:6} {found.mean():.3f} [{low:.3f}, {high:.3f}]  n {len(found)}")
    bound = paired(after - before, 0.025)
    print(f"tuned - base {bound.mean:+.3f} [{bound.low:+.3f}, {bound.high:+.3f}], two-sided 95 %, "
          f"{bound.differ} of {bound.n} rows differ")  # fmt: skip


def right(model: Any, rows: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    """Return 1 for each row whose right text is the likelier one a byte, else 0."""
    found: list[float] = []
    for start in range(0, len(rows), SHARD):
        part = rows[start : start + SHARD]
        choices = [row["meta"]["choices"] for row in part]
        prompts = [(Message(role="user", content=row["input"]),) for row in part]
        for row, given, sums in zip(part, choices, model.logprobs(prompts, choices), strict=True):
            each = [value / len(text.encode()) for value, text in zip(sums, given, strict=True)]
            found.append(float(int(np.argmax(each)) == row["meta"]["gold"]))
        print(f"{len(found)} of {len(rows)}", file=sys.stderr, flush=True)
    return np.array(found)


if __name__ == "__main__":
    main()
