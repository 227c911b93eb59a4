"""Every answer of every arm as a CSV table that no spreadsheet reads as a formula."""

from __future__ import annotations

import csv
import io

from tuneworthy.core.answer import Score
from tuneworthy.core.escape import for_csv
from tuneworthy.core.results import Results

CSV_COLUMNS = ("case", "arm", "role", "seed", "fold", "score", "valid", "answer", "extracted",
               "target", "why", "error", "tokens_in", "tokens_out", "seconds", "usd")  # fmt: skip


def answers_csv(results: Results) -> str:
    """Return one line per answer, with its score and reason; unmeasured values are empty."""
    targets = {case.id: case.output for case in results.cases}
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")  # so a lone CR in a cell is quoted too
    writer.writerow(CSV_COLUMNS)
    for run in results.runs:
        for i, answer in enumerate(run.answers):
            scored = run.scores[i] if i < len(run.scores) else None
            good = scored if isinstance(scored, Score) else None
            why = good.why if good else getattr(scored, "reason", "")
            values = (
                answer.case, run.spec.name, run.spec.role, run.seed, run.fold,
                good.value if good else None, good.valid if good else None, answer.text,
                good.extracted if good else None, targets.get(answer.case), why, answer.error,
                answer.tokens_in, answer.tokens_out, answer.seconds, answer.usd,
            )  # fmt: skip
            writer.writerow([_cell_text(value) for value in values])
    return out.getvalue()


def _cell_text(value: object) -> str:
    if isinstance(value, str):
        return for_csv(value.encode("utf-8", "backslashreplace").decode())
    return "" if value is None else str(value)
