"""Decision models: they answer typed questions about a state with probabilities, without text.

The request is the open one that several servers take (POST URL/systemone): a state, a model and
named questions of a type. Asked is one question of type `choice`, whose options are the labels of
the request's grammar. Retries, caps, prices and stored replies are those of `openai_compatible`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuneworthy.models.openai_compatible import Remote, open_remote
from tuneworthy.models.remote.endpoint_facts import UNLIKELY
from tuneworthy.models.remote.price_list import Price
from tuneworthy.models.remote.reply import count_tokens, served_name
from tuneworthy.models.remote.request import RequestOptions
from tuneworthy.models.remote.wire import DECISIONS
from tuneworthy.records.answer import label_table_fault
from tuneworthy.records.errors import TaskError
from tuneworthy.records.model import Limits, Prompt, Reply

_QUESTION = "answer"  # the name of the one question
_FRAME_TOKENS = 64  # most tokens of an answer around its options, which it repeats with a number
_NUMBER_BYTES = 24  # most bytes of one probability
_TIE = 0.0101  # probabilities this close are equal: they may be rounded to two places


class _Decider(Remote):
    """A decision model behind an endpoint; its replies have `labels`, and the choice as text."""

    kind, engine, path = "decision", "decision-1", DECISIONS

    def _form(self, limits: Limits) -> dict[str, None]:
        """Return the options, each without a description. Raises TaskError if there are none."""
        if limits.grammar is None or limits.grammar.kind != "labels":
            raise TaskError(
                "a decision model writes no text: it chooses one of the labels",
                got=self.spec,
                fix="ask it by the arm `decision`, in a task with `output.labels`",
            )
        return {str(label): None for label in limits.grammar.value}

    def _request_body(
        self,
        prompt: Prompt,
        limits: Limits,  # noqa: ARG002
        form: dict[str, None],
        allowance: int,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the body: system turns are the instructions, the others the state."""
        turns = [turn for turn in prompt if turn.role != "system"]
        state: Any = [{"role": turn.role, "content": turn.content} for turn in turns]
        question = {
            "type": "choice",
            "instructions": "\n\n".join(t.content for t in prompt if t.role == "system"),
            "criteria": form,
        }
        named = {} if self.name == self.kind else {"model": self.name}
        made = {"state": turns[0].content if len(turns) == 1 else state, **named}
        return {**made, "questions": {_QUESTION: question}, **self.how.fields}

    def _token_limit(self, body: Mapping[str, Any]) -> int:
        options = body["questions"][_QUESTION]["criteria"]
        return _FRAME_TOKENS + sum(len(name.encode()) + _NUMBER_BYTES for name in options)

    def _read(self, answer: Mapping[str, Any], limits: Limits, asked: int) -> Reply:
        """Return the chosen option and all probabilities; an error if they can't be as said."""
        made, usage = answer["answers"].get(_QUESTION), answer.get("usage")
        told = usage if isinstance(usage, dict) else {}
        usd = told.get("cost")
        priced = isinstance(usd, int | float) and not isinstance(usd, bool) and 0 <= usd < 1e6
        common: dict[str, Any] = {
            "tokens_in": count_tokens(told.get("input_tokens"), asked),
            "tokens_out": count_tokens(told.get("output_tokens"), asked),
            "usd": usd if priced else None,
            "served": served_name(answer.get("model")),
        }
        options = [str(label) for label in limits.grammar.value] if limits.grammar else []
        if why := _choice_fault(made, options):
            return Reply(text="", finish="error", error=why, **common)
        table = {name: float(made["probabilities"][name]) for name in options}
        return Reply(text=made["choice"], labels=table, **common)

    def _learn_from(self, reply: Reply, limits: Limits) -> None:
        super()._learn_from(reply, limits)
        if reply.labels and max(reply.labels.values()) - reply.labels[reply.text] > _TIE:
            note = f"{self.spec} chose an option that is not its likeliest: its choice counts"
            self._learned.learn(UNLIKELY, {"chosen": True}, note)


def _choice_fault(made: Any, options: list[str]) -> str:
    """Return why an answer to the question can't be used, "" if it can."""
    if not isinstance(made, dict) or made.get("type", "choice") != "choice":
        return f"the question has no answer of type choice: {str(made)[:80]}"
    choice, table = made.get("choice"), made.get("probabilities")
    if choice not in options:
        return f"the choice is no option that was offered: {str(choice)[:80]}"
    if not isinstance(table, dict):
        return "the answer has no probabilities"
    if missing := [name for name in options if name not in table]:
        return f"the probability of `{missing[0]}` is missing"
    return label_table_fault(table, options)


def open_decider(
    rest: str,
    purse: Any = None,
    prices: Mapping[str, Price] | None = None,
    how: RequestOptions | None = None,
) -> Remote:
    """Return the decision model [NAME@]URL, with or without the path `/systemone` in the URL.

    Raises SecurityError, or TaskError, as `open_remote` does.
    """
    return open_remote(rest.rstrip("/").removesuffix(DECISIONS), purse, prices, how, _Decider)
