"""The short line of each command in `tuneworthy --help`, and the example of its own help.

All examples work after `tuneworthy demo --recorded`.
"""

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
SHORT = {  # at most 64 characters: longer ones are cut at 80 columns
    "demo": "Run two shipped tasks in minutes: one against tuning, one for.",
    "tour": "Answer five questions, get a task.yaml.",
    "init": "Look at the rows and write a commented task.yaml.",
    "check": "Check the rows, and how small a gain they can show.",
    "plan": "Show the arms, requests, minutes and money of a run.",
    "run": "Run the study or continue it, and give the verdict.",
    "settle": "Settle a provisional verdict: judge pairs of answers, blind.",
    "build": "Export the arm that the verdict names, and check each export.",
    "serve": "Serve builds behind an OpenAI-compatible endpoint.",
    "lab": "Open the lab: break real training runs, see why, repair them.",
    "report": "Write or open the report of the last study.",
    "compare": "Compare two systems, or two studies, on the same cases.",
    "atlas": "Show which strategy wins on which type of task.",
    "advice": "Show who predicts the winning tool: rules, models, people.",
    "models": "List, fetch and verify models.",
    "doctor": "Show what this machine can do, and what is installed.",
}


def with_example(text: str, name: str) -> str:
    """Return a command's help with its example, unless it has one of its own."""
    if name not in EXAMPLES or "Example" in text:
        return text
    when = "" if "demo/" not in EXAMPLES[name] else ", after `tuneworthy demo --recorded`"
    return f"{text}\n\nExample{when}: {EXAMPLES[name]}"
