"""Read rows in the forms of trainers: chats, prompt and completion, instructions, plain text.

The forms are those of the common trainers: OpenAI chats (`messages`), ShareGPT (`conversations`),
TRL (`prompt`, `completion`), Alpaca (`instruction`, `input`, `output`), `text`, and our own rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneworthy.records.case import Message
from tuneworthy.records.errors import DataError
from tuneworthy.records.record import well_formed
from tuneworthy.rows.bad_rows import MOST_UNREAD, BadRow, RawRow, ReadCount, RowFault
from tuneworthy.rows.chat import are_turns, plain_turn, read_chat
from tuneworthy.rows.rows import as_text
from tuneworthy.rows.table import open_table

_MOST_TRAINING_ROWS = 50_000


@dataclass(frozen=True)
class TrainingRow:
    """One row: the conversation up to its last answer, and the answer.

    `form` is the form that the row was read as. A `text` row has no answer of its own: its messages
    are empty and `answer` is the whole text.
    """

    where: str
    messages: tuple[Message, ...]
    answer: str
    form: str

    @property
    def chat(self) -> bool:
        """Return whether the row is a conversation, to which a chat template is applied."""
        return self.form in ("messages", "conversations", "prompt and completion as chat")

    @property
    def plain(self) -> bool:
        """Return whether the row is one text without a separate answer."""
        return self.form == "text"

    @property
    def input(self) -> str:
        """Return the text before the answer, without the system prompt."""
        return "\n".join(m.content for m in self.messages if m.role != "system")


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a file, at most 50,000, and its bad rows."""

    file: str
    rows: tuple[TrainingRow, ...]
    bad: int
    faults: tuple[RowFault, ...]

    @property
    def form(self) -> str:
        """Return the commonest form of the rows."""
        return Counter(row.form for row in self.rows).most_common(1)[0][0]


def read_training_rows(path: Path, option: str) -> TrainingRows:
    """Return the rows of a file. Raises DataError if it can't be read, or no row can be used."""
    rows: list[TrainingRow] = []
    faults: list[RowFault] = []
    bad, count = 0, ReadCount()
    for raw in open_table(path).rows():
        count.add(raw if isinstance(raw, RowFault) else None)
        found = raw if isinstance(raw, RowFault) else _make_row(raw)
        if isinstance(found, RowFault):
            bad += 1
            faults += [found] if bad <= 5 else []
        else:
            rows.append(found)
        if len(rows) >= _MOST_TRAINING_ROWS:
            break
    if not rows:
        first = faults[0] if faults else None
        raise DataError(
            f"no row of the file can be used: {first.why}" if first else "the file has no row",
            where=first.place() if first else option,
            got=first.got if first else path.name,
            fix=(first.fix if first else "") or "name the file of rows that the run learnt from",
        )
    count.check(MOST_UNREAD, "")
    return TrainingRows(path.name, tuple(rows), bad, tuple(faults))


def _make_row(raw: RawRow) -> TrainingRow | RowFault:
    try:
        form, turns, answer = _form_and_turns(raw.fields)
        if not answer.strip():
            raise BadRow("empty answer", answer, "leave the row out")
    except BadRow as error:
        why, got, fix, field = (*error.args, "", "", "")[:4]
        return RowFault(raw.where, why, got, fix, field)
    except (ValueError, TypeError, AttributeError) as error:
        return RowFault(raw.where, "the row can't be read", str(error).splitlines()[0])
    return TrainingRow(raw.where, turns, well_formed(answer), form)


def _form_and_turns(row: Mapping[str, Any]) -> tuple[str, tuple[Message, ...], str]:
    """Return a row's form, its conversation and its answer. Raises BadRow."""
    if row.get("messages") is not None:
        return "messages", *_split_chat(row["messages"])
    if row.get("conversations") is not None:
        if not are_turns(turns := row["conversations"]):
            raise BadRow("`conversations` is no list of turns", as_text(turns)[:80], "")
        return "conversations", *_split_chat([plain_turn(turn) for turn in turns])
    if row.get("completion") is not None and row.get("prompt") is not None:
        prompt, completion = row["prompt"], row["completion"]
        if isinstance(prompt, list) and isinstance(completion, list):
            return "prompt and completion as chat", *_split_chat([*prompt, *completion])
        return "prompt and completion", _user_turn(as_text(prompt)), as_text(completion)
    answer = next((row[key] for key in ("output", "response") if row.get(key) is not None), None)
    if answer is not None and isinstance(row.get("instruction"), str):
        extra = row.get("input")
        asked = f"{row['instruction']}\n\n{extra}" if extra else row["instruction"]
        return "instruction", _user_turn(asked), as_text(answer)
    if answer is not None and row.get("input") is not None:
        return "input and output", _user_turn(as_text(row["input"])), as_text(answer)
    if isinstance(row.get("text"), str):
        return "text", (), row["text"]
    raise BadRow("no known form of a row", f"fields: {', '.join(row)}",
                 "write `messages`, `prompt` and `completion`, `instruction` and `output`,"
                 " or `text`")  # fmt: skip


def _split_chat(turns: Any) -> tuple[tuple[Message, ...], str]:
    messages, answer = read_chat(turns)
    if answer is None:
        raise BadRow("no answer: the last turn is the user's", "", "leave the row out", "messages")
    return messages, answer


def _user_turn(text: str) -> tuple[Message, ...]:
    if not text.strip():
        raise BadRow("empty input", "", "leave the row out")
    return (Message(role="user", content=text),)
