"""The page that plans a study: five questions whose answers end in a task.yaml.

The file is put together in the browser, as an exported lab has no server: each answer brings the
lines of task.yaml that it stands for, with `{}` where a text of the visitor goes.
"""

from __future__ import annotations

from typing import Any

from tuneworthy.lab.pages import Site, render
from tuneworthy.matrix.detectable import smallest_effect
from tuneworthy.rows.csv_rows import DELIMITER_OF
from tuneworthy.rows.draft import INSTRUCTIONS
from tuneworthy.rows.folds import ONE_SPLIT_FROM

SCRIPTS = ("lab", "state", "plan")
_ROWS = (50, 100, 200, 300, 500, 700, 900, 5000)
_TEST_SHARE = 0.3  # of the rows that are scored, from ONE_SPLIT_FROM rows on

_ANSWERS = {
    "label": "one label of a list",
    "json": "a JSON object",
    "text": "a text",
    "number": "a number",
}
_TODAY = (
    ("none", "nothing, or I can’t tell", "", ""),
    ("answers", "a system whose answers I have in a file", "present:\n  answers: {}",
     "logged.jsonl"),
    ("prompt", "a prompt on a model behind an address",
     "present:\n  model: {}\n  prompt: prompt.md", "openai:NAME@https://HOST/v1"),
)  # fmt: skip
_MODELS = (
    ("local", "the small one that comes with tuneworthy", "model: smollm2-135m", ""),
    ("hf", "an open model that runs here", "model: {}", "hf:ORG/NAME"),
    (
        "endpoint",
        "a model behind an address",
        "model: {}\nbudget:\n  usd: 5",
        "openai:NAME@https://HOST/v1",
    ),
    ("none", "none: classifiers and recorded answers only", "arms: {}", ""),
)
_MARGINS = (1, 2, 5, 10, 20)
_FIRST = {"rows": 200, "margin": 10}  # so many rows can show this margin
_SUFFIXES = (".jsonl", ".ndjson", *DELIMITER_OF)  # of the files that a study reads as rows


def plan_data() -> dict[str, Any]:
    """Return what the page's script needs: lines of task.yaml by answer, what rows can show."""
    return {
        "instructions": INSTRUCTIONS,
        "today": {key: lines for key, _, lines, _ in _TODAY},
        "models": {key: lines for key, _, lines, _ in _MODELS},
        "suffixes": list(_SUFFIXES),
        "shows": [[rows, round(100 * smallest_effect(_scored(rows)), 1)] for rows in _ROWS],
    }


def _scored(rows: int) -> int:
    return rows if rows < ONE_SPLIT_FROM else round(_TEST_SHARE * rows)


def plan_page(site: Site) -> str:
    """Return the page for whoever has no study yet."""
    return render(
        "plan.html.j2", site, here="Plan a study", style="plan", scripts=SCRIPTS, keys=(),
        data=() if site.live else ("plan",), rows=_ROWS, answers=_ANSWERS, today=_TODAY,
        models=_MODELS, margins=_MARGINS, first=_FIRST, blocks={"plan": plan_data()},
    )  # fmt: skip
