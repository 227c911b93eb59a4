"""How often the causes that a report names are right: what was planted, and what it was called.

The figures are those of `bench/causes.py`, which writes them beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "static" / "cause_rates.json"
SIZES = (8, 20, 40, 60)
_OF = ("first", "likely")


def published(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report shows of the results of `bench/causes.py`.

    `sizes`: by failures a task, the share of planted tasks whose cause leads (`first`), stands
    among the two likeliest (`likely`), and of controls with a false cause (`false`), each with n
    and 95 % ends. `named`: at the most failures, planted cause by the cause that it was called.
    """
    found = {size: told[f"{size} failures, as it is"] for size in SIZES}
    sizes = [
        {"failures": size, **{key: own["all"][key] for key in _OF}, "false": own["false"]}
        for size, own in found.items()
    ]
    causes = found[SIZES[-1]]["causes"]
    return {"sizes": sizes, "named": {cause: own["named"] for cause, own in causes.items()}}


@lru_cache
def rates() -> dict[str, Any]:
    """Return the published rates, with the names across the matrix as `columns`."""
    told: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    columns = dict.fromkeys(name for row in told["named"].values() for name in row)
    planted = [cause for cause in told["named"] if cause in columns]
    return {**told, "columns": planted + [name for name in columns if name not in planted]}
