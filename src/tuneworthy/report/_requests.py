"""What a study says of its requests to endpoints: how they were asked, and what is not settled."""

from __future__ import annotations

from tuneworthy.core.escape import visible
from tuneworthy.core.results import Results
from tuneworthy.ledger.purse import UNSETTLED


def request_lines(results: Results) -> list[str]:
    """Return the notes on endpoints, and how many requests have no known outcome and at what price.

    Empty for a study that asked no endpoint.
    """
    noted = results.reproduce.get("endpoints", [])
    lines = [str(note) for note in noted] if isinstance(noted, list) else []
    if unknown := results.reproduce.get(UNSETTLED):
        lines.append(f"{unknown} (listed in the report)")
    return [visible(line) for line in lines]
