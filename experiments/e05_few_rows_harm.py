"""E5: below 500 rows, does tuning do more harm than good?"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from _claim import figure, main, of_seeds, over_seeds, score_over_seeds
from _shared import clauses, greedy, seeds_of
from _tuning import SEEDS, rise

from tuneworthy.lab.claim_results import Claim, Expected, Figure

CLAIM = Claim(
    number=5,
    name="few_rows_harm",
    claim="Below 500 rows tuning does more harm than good.",
    said="rules of thumb on how many examples tuning needs",
    prediction="Already 50 and 100 rows mend more answers than they break, at the usual rate.",
    refuted_if="At 50 or at 100 rows as many answers are broken as are mended.",
    design="Clause types, LoRA on 25, 50, 100 and 200 rows, 3 epochs, 3 seeds (each draws its own "
    "rows), 200 test rows; mended: wrong with the plain prompt and right after, broken the "
    "reverse; beside it the loss on 64 general texts.",
    expects=(
        Expected(figure="mended - broken, 50 rows", above=0.0),
        Expected(figure="mended - broken, 100 rows", above=0.0),
    ),
    holds_if=(
        Expected(figure="mended - broken, 25 rows", below=0.0),
        Expected(figure="mended - broken, 200 rows", below=0.0),
    ),
)
COMPARES = {
    "mended - broken, 25 rows": "answers that tuning on 25 rows mended minus those it broke",
    "mended - broken, 200 rows": "answers that tuning on 200 rows mended minus those it broke",
}
FOUND = "From the fewest rows on, tuning mends many answers and breaks none."
CAVEAT = (
    "The plain prompt is right on nothing here, so there was nothing to break; the loss on "
    "general text rises by about half."
)
REDUCED = ("no 400 rows; one number of epochs, so steps grow with the rows",)
SIZES = (25, 50, 100, 200)


def collect() -> dict[str, Any]:
    """Return the plain prompt's scores, LoRA's by size and seed, and the loss on general text."""
    return {
        "before": greedy(clauses("zero_shot", 0)),
        "after": {str(n): seeds_of(lambda seed, n=n: clauses("lora", n, seed)) for n in SIZES},
        "rise": {str(n): [rise(clauses("lora", n, s)["side"]) for s in SEEDS] for n in SIZES},
    }


def figures(data: dict[str, Any]) -> list[Figure]:
    """Return the net gain, the share of broken answers and the loss on general text by size."""
    before = np.array(data["before"], float)
    n, out = len(before), [figure("plain prompt", score_over_seeds(before), len(before))]
    for size in SIZES:
        after = np.array(data["after"][str(size)], float)
        out.append(
            figure(f"mended - broken, {size} rows", over_seeds(after - before), n, len(SEEDS))
        )
        broken = ((before - after) > 0).astype(float)
        out.append(figure(f"broken, {size} rows", score_over_seeds(broken), n, len(SEEDS)))
        loss = of_seeds(data["rise"][str(size)])
        out.append(figure(f"rise of the loss on general text, {size} rows", loss, 64, len(SEEDS),
                          "share"))  # fmt: skip
    return out


if __name__ == "__main__":
    main(sys.modules["__main__"])
