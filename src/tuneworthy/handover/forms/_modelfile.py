"""Write an Ollama Modelfile: the chat template in Go's language, stop tokens and parameters.

Ollama's templates are in Go's language, so the model's Jinja template can't be copied. Ours is
inferred from rendered conversations and kept only if it renders several others to the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tuneworthy.arms.prompt.messages import INPUT_PLACEHOLDER
from tuneworthy.handover.forms._parts import Parts, differing_system
from tuneworthy.models.local.chat_template import Refused, conversation
from tuneworthy.records.escape import quoted

Turn = tuple[str, str]
_MOST_CONTEXT = 8192  # tokens; Ollama reserves memory for all of them
_ROLES = ("system", "user", "assistant")
_ROLE_MARKERS = {role: f"\ue000{role}\ue001" for role in _ROLES}
_TEST_TALKS: tuple[tuple[Turn, ...], ...] = (
    (("user", "One."),),
    (("system", "Be brief."), ("user", "One.")),
    (("user", "One."), ("assistant", "Two."), ("user", "Three, at last.")),
    (("system", "S"), ("user", "a\nb"), ("assistant", "c"), ("user", "d"), ("assistant", "e"),
     ("user", "f")),
)  # fmt: skip


class _TurnTemplate(NamedTuple):
    """A chat template as fixed texts: around each role's turn, without a system turn, at the end.

    A first token (BOS) is part of the system turn, or of `without_system`.
    """

    around: dict[str, Turn]
    without_system: str
    end: str

    def render(self, turns: Sequence[Turn]) -> str:
        """Return the conversation as Ollama would render it."""
        bare = "" if turns[0][0] == "system" else self.without_system
        body = (f"{self.around[role][0]}{text}{self.around[role][1]}" for role, text in turns)
        return bare + "".join(body) + self.end

    def to_go(self) -> str:
        """Return the template in Go's language."""
        bare = (
            f'{{{{ if ne (index .Messages 0).Role "system" }}}}{self.without_system}{{{{ end }}}}'
        )
        cases = "".join(
            f'{{{{ {"if" if at == 0 else "else if"} eq .Role "{role}" }}}}'
            f"{self.around[role][0]}{{{{ .Content }}}}{self.around[role][1]}"
            for at, role in enumerate(_ROLES)
        )
        return (
            f"{bare if self.without_system else ''}"
            f"{{{{ range .Messages }}}}{cases}{{{{ end }}}}{{{{ end }}}}{self.end}"
        )


def modelfile(parts: Parts, weights: str) -> tuple[str, tuple[str, ...]]:
    """Return (text of the Modelfile for a file of weights, notes for the user)."""
    tokenizer, limits = parts.model.tokenizer, parts.artefact.pack.limits
    lines, notes = [f"FROM ./{weights}"], list(_prompt_notes(parts))
    template = turn_template(tokenizer)
    if template is None or _lost_in_quotes(template.to_go()):
        notes.append("its chat template can't be written in Ollama's language: Ollama takes the "
                     "one in the GGUF file where it knows it")  # fmt: skip
    else:
        lines.append(f'TEMPLATE """{template.to_go()}"""')
        if _strips_messages(tokenizer):
            notes.append("its chat template strips the spaces around a message, which Ollama's "
                         "can't: strip each input before you send it")  # fmt: skip
    system = next((m.content for m in parts.sample if m.role == "system"), "")
    if lost := _lost_in_quotes(system):
        notes.append(f"Ollama's Modelfile can't hold {lost}, which the system turn has: send it "
                     "with each request")  # fmt: skip
    elif system:
        lines.append(f'SYSTEM """{system}"""')
    for end in parts.model.ends:
        token = tokenizer.convert_ids_to_tokens(end)
        if '"' in token or not token.isprintable():
            notes.append(f"Ollama's Modelfile can't hold the token {quoted(token)}, which ends an "
                         "answer: send it as `stop` with each request")  # fmt: skip
        else:
            lines.append(f'PARAMETER stop "{token}"')
    # Ollama penalised the last 64 tokens (1.1) by default, which changes greedy answers too. Its
    # OpenAI routes set temperature 1 where a request has none: top_k 1 stays greedy.
    lines += ["PARAMETER temperature 0", "PARAMETER top_k 1", "PARAMETER repeat_penalty 1.0"]
    if limits is not None:
        thinks = limits.thinking == "on" or getattr(parts.model, "thinks", False)
        thought = limits.thought_tokens if thinks and limits.thinking != "off" else 0
        lines.append(f"PARAMETER num_predict {limits.max_tokens + thought}")
    if context := parts.base.context:
        lines.append(f"PARAMETER num_ctx {min(context, _MOST_CONTEXT)}")
        if context > _MOST_CONTEXT:
            notes.append(f"Ollama cuts what is longer than {_MOST_CONTEXT:,} tokens (prompt and "
                         f"answer): raise num_ctx in its Modelfile, up to {context:,}")  # fmt: skip
    return "\n".join(lines) + "\n", tuple(notes)


def _prompt_notes(parts: Parts) -> Iterator[str]:
    """Yield notes on what the measured prompt has besides the system turn and the input."""
    pack = parts.artefact.pack
    if pack.passages or (pack.recipe and pack.recipe.kind == "nearest" and not pack.recipe.shots):
        yield "its prompt shows what is looked up for each input: only `tuneworthy serve` does that"
    elif why := differing_system(parts.cases):
        yield f"{why}: send the row's own with each request"
    elif [m.content for m in parts.sample if m.role != "system"] not in ([], [INPUT_PLACEHOLDER]):
        yield "its prompt is more than system turn and input: send the messages of prompt/pack.json"


def _lost_in_quotes(text: str) -> str:
    """Return names of the characters that Ollama's parser would drop from a quoted text, or "".

    It keeps what Go calls printable (of the spaces, ASCII's alone), tabs and line breaks.
    """
    lost = sorted({mark for mark in text if not mark.isprintable() and mark not in "\n\r\t"})
    names = [f"U+{ord(mark):04X}" for mark in lost[:3]]
    return ", ".join([*names, *(['three quotes (""")'] if '"""' in text else [])])


def _strips_messages(tokenizer: Any) -> bool:
    """Return whether the chat template strips the spaces around a message."""
    padded, plain = (conversation(tokenizer, [("user", text)]) for text in (" a b\n", "a b"))
    return padded == plain


def turn_template(tokenizer: Any) -> _TurnTemplate | None:
    """Return a tokenizer's chat template as fixed texts; None if they don't render the same."""
    try:
        found = _infer_template(tokenizer)
        same = all(found.render(probe) == conversation(tokenizer, probe) for probe in _TEST_TALKS)
    except (Refused, ValueError):
        return None
    return found if same else None


def _infer_template(tokenizer: Any) -> _TurnTemplate:
    """Return the fixed texts of a tokenizer's template, found in three rendered conversations.

    The text between a user's turn and a reply is the end of the one and the start of the other, and
    nothing shows where it divides. If it begins with the end of a reply, a user's turn is taken to
    end in that too; else it ends with the prefix that it shares with the end of a conversation.
    """
    s, u, a = (_ROLE_MARKERS[role] for role in _ROLES)
    whole = conversation(tokenizer, [("system", s), ("user", u), ("assistant", a), ("user", u)])
    answered = conversation(tokenizer, [("user", u)], answer=a)
    head, rest = whole.split(s)
    system_to_user, user_to_answer_to_user, tail = rest.split(u)
    user_to_answer, answer_to_user = user_to_answer_to_user.split(a)
    answer_end = answered.split(a)[1]
    if not answer_to_user.startswith(answer_end):
        answer_end = ""
    user_start = answer_to_user.removeprefix(answer_end)
    same = user_to_answer.startswith(answer_end) and tail.startswith(answer_end)
    user_end = answer_end if answer_end and same else _common_prefix(user_to_answer, tail)
    around = {
        "system": (head, system_to_user.removesuffix(user_start)),
        "user": (user_start, user_end),
        "assistant": (user_to_answer.removeprefix(user_end), answer_end),
    }
    bare = conversation(tokenizer, [("user", u)]).split(u)[0]
    return _TurnTemplate(around, bare.removesuffix(user_start), tail.removeprefix(user_end))


def _common_prefix(one: str, other: str) -> str:
    at = 0
    while at < min(len(one), len(other)) and one[at] == other[at]:
        at += 1
    return one[:at]
