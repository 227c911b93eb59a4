"""OpenAI's fine-tuning files: chats as JSON lines, with tokens, epochs, price and refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tuneworthy.handover.formats._sources import Chat, Made, TrainingChats, json_lines

NEEDS = "rows"
_COOKBOOK = "https://cookbook.openai.com/examples/chat_finetuning_data_prep"
_LEAST_ROWS = 10
_EPOCHS, _FEWEST, _MOST, _MOST_EPOCHS = 3, 100, 25_000, 25
_LONGEST = (  # tokens of one example that the vendor documents, by the start of the model's name
    ("gpt-3.5-turbo", 16_385, _COOKBOOK),
    ("gpt-4o", 65_536, "https://learn.microsoft.com/azure/ai-foundry/openai/concepts/models"),
)  # fmt: skip
_A_MESSAGE, _A_REPLY = 3, 3  # tokens around each message, and before the reply
Count = Callable[[str], int]


def write(source: TrainingChats, folder: Path) -> Made:
    """Return train.jsonl and, where dev rows are kept apart, dev.jsonl.

    Tokens are counted and epochs chosen as the vendor's notebook does. `refused` says before the
    upload what the vendor refuses.
    """
    count, why = _tokenizer(source.model)
    tokens = [_tokens(chat, count) for chat in source.train] if count else []
    rows, refused, notes = len(source.train), list[str](), list[str]()
    if rows < _LEAST_ROWS:
        refused.append(f"{rows} rows: the vendor takes {_LEAST_ROWS} or more")
    if empty := sum(not chat.answer.strip() for chat in source.train):
        refused.append(f"{empty} rows have an empty answer")
    if tools := sum(m.role == "tool" for chat in source.train for m in chat.messages):
        refused.append(f"{tools} messages of a tool do not say which call they answer")
    limits = [limit for limit in _LONGEST if source.model.startswith(limit[0])]
    for _, most, where in limits[:1] if tokens else ():
        if long := sum(one > most for one in tokens):
            refused.append(f"{long} rows are longer than {most:,} tokens ({where})")
    if not limits or not tokens:
        notes.append("the length of the rows was not checked against the vendor's limit: "
                     + (why or f"none is known here for {source.model}"))  # fmt: skip
    files = {"train.jsonl": json_lines(list(map(_line, source.train)))}
    if source.dev:
        files["dev.jsonl"] = json_lines(list(map(_line, source.dev)))
    missing = {} if count else {"tokens": why}
    told = source.summary(sum(tokens) if count else None, default_epochs(rows), missing=missing,
                          epochs_by=f"the vendor's default rule: {_COOKBOOK}",
                          longest=max(tokens, default=None), refused=refused,
                          notes=notes)  # fmt: skip
    return Made(files, told)


def default_epochs(rows: int) -> int:
    """Return the vendor's default number of epochs: 3, more for few rows, fewer for many."""
    if rows * _EPOCHS < _FEWEST:
        return min(_MOST_EPOCHS, _FEWEST // max(rows, 1))
    return max(1, _MOST // rows) if rows * _EPOCHS > _MOST else _EPOCHS


def _line(chat: Chat) -> dict[str, Any]:
    return {"messages": [*chat.turns(), chat.reply()]}


def _tokens(chat: Chat, count: Count) -> int:
    turns: Sequence[dict[str, str]] = [*chat.turns(), chat.reply()]
    return sum(_A_MESSAGE + sum(map(count, turn.values())) for turn in turns) + _A_REPLY


def _tokenizer(model: str) -> tuple[Count | None, str]:
    """Return a function that counts the tokens of a text for a model, or None and why not."""
    if not model or ":" in model.removeprefix("ft:"):  # none, or one of this machine
        return None, "name the vendor's model: --model gpt-4o-mini"
    try:
        encoding = import_module("tiktoken").encoding_for_model(model)
    except ImportError:
        return None, 'the vendor\'s tokenizer is not here: pip install "tuneworthy[tiktoken]"'
    except KeyError:
        return None, f"the vendor's tokenizer knows no model {model}"
    except Exception as error:  # its vocabulary comes over the network, by any HTTP library
        said = str(error).splitlines()[0][:200] if str(error) else ""
        return None, f"its vocabulary could not be fetched ({type(error).__name__}: {said})"
    return lambda text: len(encoding.encode(text, disallowed_special=())), ""
