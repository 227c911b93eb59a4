"""From a conversation and its answer to token ids, with the exact mask of what is trained.

Trained are the answer's tokens and the end-of-turn token, nothing else. The prompt's ids are those
that the model is asked with, so that training and answering see the same tokens. A special token
that stands in a row's own text is encoded as the text it is. Knows no model, no loss and no arm.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuneworthy.core.case import Message
from tuneworthy.core.errors import ModelError

_PRIVATE = (0xF0000, 0x100000)  # two ranges no text uses: stand-ins for special tokens
_PROBE = "\U0010fffd"  # and one for the answer


@dataclass(frozen=True)
class Rendered:
    """One row as token ids, and for each id whether it is trained (the trained ids come last)."""

    ids: tuple[int, ...]
    mask: tuple[bool, ...]

    @property
    def first(self) -> int:
        """Return the index of the first trained token: all before it is the prompt."""
        return self.mask.index(True)

    @property
    def trained(self) -> int:
        """Return the number of trained tokens."""
        return sum(self.mask)


@dataclass(frozen=True)
class Excluded:
    """A row that cannot be trained on, and why."""

    reason: str


def render(
    tokenizer: Any, messages: Sequence[Message], answer: str, context: int | None = None
) -> Rendered | Excluded:
    """Return the ids and the mask of one row, or why it is left out.

    The mask is the prefix difference: what follows the prompt's own ids. It is checked by round
    trip: the trained ids must decode to the answer and its end of turn. `context` is the most
    tokens of a row. Raises ModelError where the tokenizer has no chat template.
    """
    if not answer.strip():
        return Excluded("the answer is empty")
    cover = _cover(tokenizer, [*(m.content for m in messages), answer])
    covered = [Message(role=m.role, content=_hide(m.content, cover)) for m in messages]
    try:
        prompt = _template(tokenizer, covered)
        tail = _tail(tokenizer, covered, prompt, _hide(answer, cover))
    except _Refused as refusal:
        return Excluded(str(refusal))
    if tail is None:
        return Excluded("no trained token: the chat template leaves the answer out")
    head, whole = _encode(tokenizer, prompt, cover), _encode(tokenizer, prompt + tail, cover)
    if head is None or whole is None:
        return Excluded("a special token in the text cannot be kept apart from a real one")
    if whole[: len(head)] != head:  # the answer's first letters merge with the prompt's last ones;
        whole = head + (_encode(tokenizer, tail, cover) or [])  # a reply starts after the prompt
    trained = whole[len(head) :]
    if not trained:
        return Excluded("no trained token: the chat template leaves the answer out")
    if _plain(tokenizer.decode(trained)) != _plain(_show(tail, cover)):
        return Excluded("the answer does not survive the tokenizer")
    if context is not None and len(whole) > context:
        return Excluded("longer than the model's context")
    return Rendered(tuple(whole), (False,) * len(head) + (True,) * len(trained))


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Return the ids of the prompt as the model is asked, its header for the reply included."""
    cover = _cover(tokenizer, [m.content for m in messages])
    covered = [Message(role=m.role, content=_hide(m.content, cover)) for m in messages]
    return _encode(tokenizer, _template(tokenizer, covered), cover) or []


class _Refused(Exception):
    """The chat template raised an error on this conversation."""


def _template(
    tokenizer: Any, messages: Sequence[Message], answer: str | None = None, header: bool = True
) -> str:
    """Return the rendered text; a template without a system role gets it in the first user turn."""
    if not tokenizer.chat_template:
        raise ModelError(
            "the tokenizer has no chat template, so there is no right way to ask the model",
            got=str(getattr(tokenizer, "name_or_path", "")),
            fix="choose the instruction-tuned model of this family",
        )
    system = messages[0].content.strip() if messages and messages[0].role == "system" else ""
    try:
        text = _applied(tokenizer, messages, answer, header)
        if system in text:
            return text
    except _Refused:
        if not system:
            raise
    return _applied(tokenizer, _folded(messages), answer, header)


def _applied(tokenizer: Any, messages: Sequence[Message], answer: str | None, header: bool) -> str:
    turns = [{"role": m.role, "content": m.content} for m in messages]
    if answer is not None:
        turns.append({"role": "assistant", "content": answer})
    try:
        text: str = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=header
        )
    except Exception as error:  # a template is a program of others: it may raise anything
        raise _Refused(f"the chat template refuses the conversation: {error}") from error
    return text


def _folded(messages: Sequence[Message]) -> list[Message]:
    first = messages[1] if len(messages) > 1 else Message(role="user", content="")
    joined = f"{messages[0].content}\n\n{first.content}".strip()
    return [Message(role="user", content=joined), *messages[2:]]


def _tail(tokenizer: Any, messages: Sequence[Message], prompt: str, answer: str) -> str | None:
    """Return what a reply adds to the prompt: the answer, up to and including its end of turn.

    A probe in the answer's place shows what the template writes around it. What it writes before
    the answer and not in the prompt is kept only if blank (an empty thinking block is no reply).
    """
    probed = _template(tokenizer, messages, _PROBE, header=False)
    if probed.count(_PROBE) != 1:
        return None
    before, _, after = probed.partition(_PROBE)
    shown = _template(tokenizer, messages, answer, header=False)
    forms = (answer, answer.strip(), answer.rstrip(), answer.lstrip())
    form = next((form for form in forms if shown == before + form + after), None)
    if form is None:
        raise _Refused("the chat template changes the answer")
    lead = before[len(prompt) :] if before.startswith(prompt) else ""
    end = _end(tokenizer, after)
    if end is None:
        raise _Refused("neither the chat template nor the tokenizer has an end of turn")
    return ("" if lead.strip() else lead) + form + end


def _end(tokenizer: Any, rest: str) -> str | None:
    """Return the text of the end of turn: all up to the first added token after the answer."""
    added = sorted((t.content for t in tokenizer.added_tokens_decoder.values()), key=len)
    found = re.search("|".join(map(re.escape, reversed(added))), rest) if added else None
    eos: str | None = tokenizer.eos_token
    return rest[: found.end()] if found else eos


def _specials(tokenizer: Any) -> list[str]:
    return sorted(
        {t.content for t in tokenizer.added_tokens_decoder.values() if t.special},
        key=lambda token: (-len(token), token),
    )


def _cover(tokenizer: Any, texts: Sequence[str]) -> dict[str, str]:
    """Return stand-in -> special token, for the special tokens that stand in these texts."""
    found = [token for token in _specials(tokenizer) if any(token in text for text in texts)]
    used = set("".join(texts)) if found else set()
    for start in _PRIVATE:
        names = [chr(start + k) for k in range(len(found))]
        if not used.intersection(names):
            return dict(zip(names, found, strict=True))
    return {}  # a text that uses both private ranges: its special tokens stay what they look like


def _hide(text: str, cover: dict[str, str]) -> str:
    for name, token in cover.items():
        text = text.replace(token, name)
    return text


def _show(text: str, cover: dict[str, str]) -> str:
    return text.translate({ord(name): token for name, token in cover.items()})


def _encode(tokenizer: Any, text: str, cover: dict[str, str]) -> list[int] | None:
    """Return the ids of a rendered text, its covered special tokens spelt out as text.

    The template brings its own first token, so none is added. None: this tokenizer cannot encode
    the pieces between special tokens apart from each other.
    """
    whole: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not any(name in text for name in cover):
        return whole
    pieces = _pieces(tokenizer, text)
    if _joined(tokenizer, pieces) != whole:
        return None
    return _joined(tokenizer, [(_show(piece, cover), real) for piece, real in pieces])


def _pieces(tokenizer: Any, text: str) -> list[tuple[str, bool]]:
    specials = _specials(tokenizer)
    parts = re.split("(" + "|".join(map(re.escape, specials)) + ")", text)
    return [(part, index % 2 == 1) for index, part in enumerate(parts) if part]


def _joined(tokenizer: Any, pieces: Sequence[tuple[str, bool]]) -> list[int]:
    ids: list[int] = []
    for piece, real in pieces:
        if real:
            ids.append(tokenizer.convert_tokens_to_ids(piece))
        else:
            coded = tokenizer(piece, add_special_tokens=False, split_special_tokens=True)
            ids += coded["input_ids"]
    return ids


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()
