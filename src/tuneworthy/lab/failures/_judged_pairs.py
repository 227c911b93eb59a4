"""Pairs of records for a judge: the question on a pair, and the score of the judge's verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

from tuneworthy.records.card import CardAnswer
from tuneworthy.records.case import Message
from tuneworthy.records.failure import Config, LabRow, LabRows

_SYSTEM_PROMPT = "You compare two records of a support ticket. Answer with A or B only."
_QUESTIONS = {
    "which fits better": "Which record fits the ticket better, A or B?",
    "which is right": "Exactly one record is right. Which one is it, A or B?",
}


def rows_for_judge(given: LabRows, config: Config, seed: int) -> LabRows:
    """Return a row per ticket that asks a judge: its own record or the next ticket's, A or B?

    The order of the two records is random; `meta["swapped"]` holds the row in the other order.
    """
    asked, draw = str(config["verdicts"]), Random(f"judge {seed}")

    def pairs(tickets: Sequence[LabRow]) -> tuple[LabRow, ...]:
        others = (*tickets[1:], *tickets[:1])
        return tuple(
            _pair_row(row, other.output, draw.random() < 0.5, asked)
            for row, other in zip(tickets, others, strict=True)
        )

    return LabRows(pairs(given.train), pairs(given.new))


def leads_by_value_overlap(rows: Sequence[LabRow]) -> list[float]:
    """Return per row the share of record A's values that the ticket states, minus record B's."""
    return [_value_overlap(row, "A") - _value_overlap(row, "B") for row in rows]


def verdict_answer(row: LabRow, lead: float, lead_swapped: float) -> CardAnswer:
    """Return verdict A if `lead` > 0, else B, as a scored answer that notes if it holds swapped."""
    said, swapped = ("A" if each > 0 else "B" for each in (lead, lead_swapped))
    return CardAnswer(row, said, score=float(said == row.output)).with_measures(
        swap_agreement=float(said != swapped),
        says_a=float(said == "A"),
        lead=abs(lead),
    )


def _pair_row(ticket: LabRow, other: str, first: bool, asked: str) -> LabRow:
    return _question_row(
        ticket, other, first, asked, {"swapped": _question_row(ticket, other, not first, asked)}
    )


def _question_row(
    ticket: LabRow, other: str, first: bool, asked: str, meta: dict[str, LabRow] | None = None
) -> LabRow:
    texts = {"A": ticket.output, "B": other} if first else {"A": other, "B": ticket.output}
    lines = [f"Ticket: {ticket.input}"] + [f"Record {k}: {text}" for k, text in texts.items()]
    turns = (Message(role="system", content=_SYSTEM_PROMPT),
             Message(role="user", content="\n".join([*lines, _QUESTIONS[asked]])))  # fmt: skip
    about = {**texts, "ticket": ticket.input, **(meta or {})}
    return LabRow(ticket.id, turns, "A" if first else "B", about)


def _value_overlap(row: LabRow, name: str) -> float:
    record = json.loads(row.meta[name])
    values = [record["name"], record["order"], *(each["item"] for each in record["issues"])]
    text = str(row.meta["ticket"]).lower()
    said = [str(value).lower() in text for value in values if value is not None]
    return sum(said) / len(said) if said else 0.0
