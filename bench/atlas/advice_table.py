"""Score the advisers on the measured tasks that ship; prints lines of docs/evidence/claims.md.

usage: advice.py      (no model is asked: rules, and answers that are recorded)
"""

from __future__ import annotations

from bench.atlas.advising import advice_table, advisers_of, measured_tasks

from tuneworthy.report.atlas import headline, lead_line, ranked, scope_line, score_texts


def lines() -> list[str]:
    """Return the headline, its scope, what predicts the winner, and the rows of the table."""
    tasks = measured_tasks(working=None)
    table = advice_table(tasks, advisers_of(tasks))
    rows = [
        f"| {each.label} | {each.right} / {each.wrong} / {each.open} | {each.unmeasured}"
        f" | {' | '.join(score_texts(each))} |"
        for each in ranked(table)
        if not each.skipped
    ]
    skipped = [f"{each.label} ({each.skipped})" for each in table.advisers if each.skipped]
    asked = [f"Not asked: {'; '.join(skipped)}."] if skipped else []
    return [
        f"{headline(table)} {lead_line(table)}",
        f"{scope_line(table)}.",
        table.predictor,
        *asked,
        *rows,
    ]


if __name__ == "__main__":
    print("\n".join(lines()))
