"""`soup advise` of soup-cli, run in an environment of its own, or its recorded answers.

It reads a file of rows. The ten rows are repeated until there are n, because the number of rows
decides; see `soup_process.rows_for`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.atlas import soup_process
from bench.atlas.advice_input import TOOL_CHOICES, AdviceInput

LABEL = "soup advise"
SEES = "the ten rows repeated up to the number of rows, and the instruction as its goal"
BLIND = (
    "the base's score; its choice gets its stated confidence, the other tools share the rest;"
    " PROMPT_ENG is read as prompt, RAG as context, SFT, DPO and GRPO as tune"
)
TOOL_OF = {"PROMPT_ENG": "prompt", "RAG": "context", "SFT": "tune", "DPO": "tune", "GRPO": "tune"}


def skipped(inputs: Sequence[AdviceInput]) -> str:
    """Return why soup can't be asked; "" if it is installed or an answer is recorded."""
    if soup_process.program_path() or any(soup_process.recorded_answer(each) for each in inputs):
        return ""
    variable = soup_process.PROGRAM_VARIABLE
    return f"soup-cli is not installed (set {variable}), and no answer is recorded"


def recall(shown: AdviceInput) -> dict[str, float] | None:
    """Return the probabilities of soup's recorded answer; None without one. Runs nothing."""
    return _as_probabilities(soup_process.recorded_answer(shown))


def advise(shown: AdviceInput) -> dict[str, float] | None:
    """Return soup's confidence on its choice, the rest spread evenly over the other tools."""
    return _as_probabilities(soup_process.recorded_answer(shown) or soup_process.run_soup(shown))


def _as_probabilities(told: soup_process.SoupAnswer | None) -> dict[str, float] | None:
    if told is None or told.choice not in TOOL_OF:
        return None
    tool, rest = TOOL_OF[told.choice], (1 - told.confidence) / (len(TOOL_CHOICES) - 1)
    return {name: told.confidence if name == tool else rest for name in TOOL_CHOICES}
