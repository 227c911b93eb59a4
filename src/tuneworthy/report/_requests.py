"""Notes on a study's endpoint requests: how they were sent, and which have no known outcome."""

from __future__ import annotations

from tuneworthy.core.escape import visible
from tuneworthy.core.results import Results
from tuneworthy.ledger.purse import UNKNOWN_OUTCOMES_NOTE


def request_lines(results: Results) -> list[str]:
    """Return notes on endpoints, and the number and price of requests without a known outcome.

    Empty for a study without an endpoint.
    """
    noted = results.reproduce.get("endpoints", [])
    lines = [str(note) for note in noted] if isinstance(noted, list) else []
    if unknown := results.reproduce.get(UNKNOWN_OUTCOMES_NOTE):
        lines.append(f"{unknown} (listed in the report)")
    return [visible(line) for line in lines]
