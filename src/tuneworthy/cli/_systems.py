"""The options of `compare` and `gate` on the systems that they take, and the comparison itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuneworthy.cli._options import print_stderr

if TYPE_CHECKING:
    from tuneworthy.explain.two_logs import LogComparison
    from tuneworthy.flows.comparing import CompareOptions
    from tuneworthy.rows.table_columns import Choice

SYSTEM_HELP = (
    "a file of answers, or a system: hf:MODEL, an adapter, a model folder, a .gguf file,"
    " ollama:NAME, openai:NAME@URL, an artefact, a prompt file (NAME=… names it)"
)
Gold = Annotated[Path | None, typer.Option("--gold", help="The rows with the right answers.")]
GoldColumn = Annotated[
    str | None, typer.Option("--gold-column", help="The column of the right answers.")
]
InputColumn = Annotated[
    str | None,
    typer.Option("--input-column", help="The input: COL, or A.COL,gold.COL (else guessed)."),
]
AnswerColumn = Annotated[
    str | None,
    typer.Option("--answer-column", help="The answers: COL, or A.COL,B.COL (else guessed)."),
]
IdColumn = Annotated[
    str | None, typer.Option("--id-column", help="What matches rows: COL, or A.COL,B.COL,gold.COL.")
]
Metric = Annotated[
    str | None, typer.Option("--metric", help="How an answer is scored (else guessed).")
]
MatchBy = Annotated[
    Literal["id", "input", "order"] | None,
    typer.Option("--match", help="How answers match rows (else by id, else by input)."),
]
Copies = Annotated[
    Literal["off", "exact", "near"],
    typer.Option("--copies", help="Inputs that count as one: near-copies, exact ones, none (off)."),
]
Cases = Annotated[
    int | None,
    typer.Option("--cases", min=1, help="Compare at most N rows, drawn by a hash."),
]
Repeats = Annotated[int, typer.Option("--repeats", min=1, max=100, help="Ask each row N times.")]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature",
        min=0,
        help="How models are sampled (0: greedy).",
    ),
]
MaxTokens = Annotated[
    int | None,
    typer.Option("--max-tokens", min=1, help="The longest answer (else by the right answers)."),
]
AnsweringModel = Annotated[
    str | None,
    typer.Option("--model", help="Answers prompt files; the base of an adapter."),
]
PromptFile = Annotated[
    Path | None, typer.Option("--prompt", help="One prompt file for both models, {input} in it.")
]
Budget = Annotated[
    str | None,
    typer.Option("--budget", help="The most paid endpoints may cost: 2 (USD), 90000tokens."),
]


@dataclass(frozen=True)
class HowAsked:
    """The options of systems that are asked, as they were given."""

    model: str | None
    prompt: Path | None
    repeats: int
    temperature: float
    max_tokens: int | None
    budget: str | None


def compare_named(
    first: str, second: str, gold: Path, options: CompareOptions, named: Choice, how: HowAsked
) -> LogComparison:
    """Return the comparison of two systems as the command line names them; progress on stderr.

    Raises TaskError for repeats at temperature 0, and the errors of `compare_systems`.
    """
    from tuneworthy.handover.compared_systems import Asking, capped, compare_systems
    from tuneworthy.handover.named_systems import parse_system
    from tuneworthy.records.errors import TaskError

    one, two = (parse_system(text, how.model is not None) for text in (first, second))
    if how.repeats > 1 and not how.temperature:
        raise TaskError("at temperature 0 a model gives the same answer each time",
                        where="--repeats", got=str(how.repeats), fix="add --temperature 0.7",
                        kept="everything")  # fmt: skip
    named = _by_letter(named, {one.name: "A", two.name: "B"})
    with capped(gold.parent, how.budget, [first, second, str(gold)]) as purse:
        asking = Asking(how.model, how.prompt, how.repeats, how.temperature, how.max_tokens,
                        purse=purse, say=print_stderr)  # fmt: skip
        return compare_systems((one, two), gold, asking, options, named)


def _by_letter(named: Choice, letters: Mapping[str, str]) -> Choice:
    """Return the column options with the sides' own names (`old.COLUMN`) as A and B."""

    def renamed(text: str | None) -> str | None:
        if text is None:
            return None
        parts = [part.strip().partition(".") for part in text.split(",")]
        return ",".join(f"{letters.get(name, name)}{dot}{rest}" if dot else name
                        for name, dot, rest in parts)  # fmt: skip

    return replace(named, id=renamed(named.id), input=renamed(named.input),
                   present=renamed(named.present))  # fmt: skip
