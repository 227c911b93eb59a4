"""One example for the help of each command; all of them work after `tuneworthy demo --recorded`."""

from __future__ import annotations

CLAUSES, TICKETS = "demo/recorded/clause_type", "demo/recorded/support_tickets"
EXAMPLES = {
    "demo": "tuneworthy demo --recorded",
    "tour": "tuneworthy tour",
    "init": f"tuneworthy init {TICKETS}/test.jsonl -o demo/tickets.yaml",
    "check": f"tuneworthy check {CLAUSES}",
    "plan": f"tuneworthy plan {CLAUSES}",
    "run": f"tuneworthy run {CLAUSES}",
    "settle": "tuneworthy settle demo/recorded/open_clauses",
    "build": f"tuneworthy build {CLAUSES}",
    "serve": f"tuneworthy serve {CLAUSES}/build",
    "lab": "tuneworthy lab --no-browser",
    "report": f"tuneworthy report {CLAUSES}",
    "compare": f"tuneworthy compare {TICKETS}/rules_first.jsonl {TICKETS}/rules_second.jsonl"
    f" --gold {TICKETS}/test.jsonl",
    "atlas": "tuneworthy atlas",
    "advice": "tuneworthy advice",
    "models": "tuneworthy models",
    "doctor": "tuneworthy doctor",
}


def with_example(text: str, name: str) -> str:
    """Return a command's help with its example, unless it has one of its own."""
    if name not in EXAMPLES or "Example" in text:
        return text
    when = "" if "demo/" not in EXAMPLES[name] else ", after `tuneworthy demo --recorded`"
    return f"{text}\n\nExample{when}: {EXAMPLES[name]}"
