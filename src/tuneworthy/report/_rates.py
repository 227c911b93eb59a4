"""How often the diagnosis names the right cause, measured on tasks with a planted cause.

The figures come from `bench/causes.py`, which writes them into `static/` in this folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

RATES_FILE = Path(__file__).parent / "static" / "cause_rates.json"
FAILURE_COUNTS = (8, 20, 40, 60)
_HIT_KEYS = ("first", "likely")


def published_rates(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures for the report from the results of `bench/causes.py`.

    `sizes`: by failures per task, the share of planted tasks whose cause leads (`first`) or is
    among the two likeliest (`likely`), and of controls with a false cause (`false`), each with n
    and 95 % ends. `named`: at the most failures, the named cause for each planted cause.
    """
    by_size = {size: results[f"{size} failures, as it is"] for size in FAILURE_COUNTS}
    sizes = [
        {"failures": size, **{key: own["all"][key] for key in _HIT_KEYS}, "false": own["false"]}
        for size, own in by_size.items()
    ]
    causes = by_size[FAILURE_COUNTS[-1]]["causes"]
    return {"sizes": sizes, "named": {cause: own["named"] for cause, own in causes.items()}}


@lru_cache
def cause_rates() -> dict[str, Any]:
    """Return the rates from `cause_rates.json`, and the confusion matrix's columns as `columns`."""
    figures: dict[str, Any] = json.loads(RATES_FILE.read_text("utf-8"))
    columns = dict.fromkeys(name for row in figures["named"].values() for name in row)
    planted = [cause for cause in figures["named"] if cause in columns]
    return {**figures, "columns": planted + [name for name in columns if name not in planted]}
