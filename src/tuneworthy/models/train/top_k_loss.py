"""KL divergence from a teacher's next-token distribution: top k tokens and a tail bucket.

The tail bucket holds the probability of all other tokens, so that both sides are distributions:
without it the truncated sum is no divergence and can be lowered by moving probability out of it
(verl#7856). Log-probabilities are read at temperature 1 and rescaled here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from tuneworthy.models.local.adapter_hooks import adapter_applied
from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.models.train.loss import Net, answer_logits, open_plain
from tuneworthy.models.train.objective import likelihood_loss
from tuneworthy.models.train.training_data import EncodedExample, Example, TokenLoss
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError
from tuneworthy.records.record import digest
from tuneworthy.records.tokens import parts
from tuneworthy.store import signals

_TOP_K = 20
PART_TOKENS = 1024  # padded tokens read at once: their logits dominate the memory


class _TopTokens(NamedTuple):
    """Top k next tokens at each position: ids [tokens, k], log-probabilities [tokens, k + 1].

    The last log-probability is that of the tail bucket (minus infinity if k is the vocabulary).
    """

    ids: Any
    logs: Any


def top_tokens(logits: Any, k: int = _TOP_K, temperature: float = 1.0) -> _TopTokens:
    """Return top k tokens and tail bucket at `temperature` of logits [tokens, vocabulary].

    The logits are at temperature 1.
    """
    logs = _rescaled(torch.log_softmax(logits.float(), -1), temperature)
    ids = logs.topk(min(k, logs.shape[-1]), dim=-1).indices
    return _TopTokens(ids, _with_tail(logs, ids))


def _rescaled(logs: Any, temperature: float) -> Any:
    """Return log-probabilities [..., vocabulary] at `temperature`, from those at temperature 1."""
    return logs if temperature == 1 else torch.log_softmax(logs / temperature, -1)


def top_k_divergence(logits: Any, teacher: _TopTokens, temperature: float = 1.0) -> Any:
    """Return KL(teacher | student) in nats at each token, over the teacher's top k and the tail.

    It is multiplied by the squared temperature, which keeps the size of the gradient (Hinton et al.
    2015).
    """
    student = _with_tail(_rescaled(torch.log_softmax(logits, -1), temperature), teacher.ids)
    logs = teacher.logs.to(student.dtype)
    # A bucket without probability adds nothing; 0 * (-inf) would be no number.
    empty = torch.isneginf(logs)
    apart = torch.where(empty, 0.0, logs) - torch.where(empty, 0.0, student)
    return temperature**2 * (torch.where(empty, 0.0, logs.exp()) * apart).sum(-1)


def _with_tail(logs: Any, ids: Any) -> Any:
    """Return the log-probabilities of `ids`, and last that of all other ids together."""
    others = logs.scatter(-1, ids, float("-inf"))
    tail = torch.logsumexp(others, -1, keepdim=True) if ids.shape[-1] < logs.shape[-1] else (
        logs.new_full((*logs.shape[:-1], 1), float("-inf")))  # fmt: skip
    return torch.cat([logs.gather(-1, ids), tail], -1)


@dataclass(frozen=True)
class TopKDivergence:
    """An objective: KL from a local teacher on answers it wrote; other rows keep the likelihood.

    `teacher` is an engine of this machine; `prompts` has the teacher's own prompt of each example
    that it wrote, by id. The student's tokens of the answer are read after that prompt.
    """

    teacher: Any
    prompts: Mapping[str, Sequence[Message]]
    k: int = _TOP_K
    temperature: float = 1.0

    @property
    def about(self) -> dict[str, Any]:
        """Return the name of the loss, its settings, the teacher, and a digest of its prompts."""
        prompts = {i: [turn.plain() for turn in turns] for i, turns in self.prompts.items()}
        teacher = digest(dict(self.teacher.fingerprint), 16)
        return {"loss": "kl", "k": self.k, "temperature": self.temperature,
                "teacher": teacher, "prompts": digest(prompts, 16)}  # fmt: skip

    def prepared(self, examples: Sequence[Example], rows: Sequence[EncodedExample]) -> TokenLoss:
        """Read the teacher's distributions at the answer tokens; return the loss for these rows.

        Raises ModelError if the teacher does not know a token of the rows.
        """
        pairs = zip(examples, rows, strict=True)
        taught = [(self._teacher_row(e, row), row) for e, row in pairs if e.id in self.prompts]
        read = teacher_tokens(self.teacher, [own for own, _ in taught], self.k, self.temperature)
        by_row = {row: tokens for (_, row), tokens in zip(taught, read, strict=True)}

        def loss(logits: Any, batch: Sequence[EncodedExample]) -> Any:
            plain = likelihood_loss(logits, batch)
            parted = zip(batch, logits.split([r.trained for r in batch]), strict=True)
            divergences = [
                self._divergence(by_row[r], part) if r in by_row else None for r, part in parted
            ]
            sizes = plain.split([row.trained for row in batch])
            each = [
                own if own is not None else nll for own, nll in zip(divergences, sizes, strict=True)
            ]
            return torch.cat(each)

        return loss

    def _divergence(self, teacher: _TopTokens, logits: Any) -> Any:
        moved = _TopTokens(teacher.ids.to(logits.device), teacher.logs.to(logits.device))
        return top_k_divergence(logits, moved, self.temperature)

    def _teacher_row(self, example: Example, row: EncodedExample) -> EncodedExample:
        # the trained ids begin with the closing tag of a thought that the prompt opens
        head = prompt_ids(self.teacher.tokenizer, self.prompts[example.id])
        tail = row.ids[row.first :]
        return EncodedExample((*head, *tail), (False,) * len(head) + (True,) * len(tail))


def teacher_tokens(
    teacher: Any, rows: Sequence[EncodedExample], k: int = _TOP_K, temperature: float = 1.0
) -> list[_TopTokens]:
    """Return for each row the teacher's top tokens at its answer tokens, on the CPU."""
    net, found = open_plain(teacher.module), dict[int, _TopTokens]()
    _check_teacher_reads(teacher, net, rows)
    for group in parts(rows, PART_TOKENS):
        signals.check()
        with adapter_applied(teacher), torch.inference_mode():
            logits = answer_logits(net, [rows[at] for at in group], None)
            ids, logs = top_tokens(logits, k, temperature)
        sizes = [rows[at].trained for at in group]
        both = zip(ids.cpu().split(sizes), logs.cpu().split(sizes), strict=True)
        found |= {at: _TopTokens(*each) for at, each in zip(group, both, strict=True)}
    # autograd refuses tensors made in inference mode: return copies
    return [_TopTokens(*(part.clone() for part in found[at])) for at in range(len(rows))]


def self_divergence(model: Any, rows: Sequence[EncodedExample]) -> float:
    """Return the largest divergence of a model from itself on `rows`, which should be 0."""
    net, most = open_plain(model.module), 0.0
    for row, own in zip(rows, teacher_tokens(model, rows), strict=True):
        with adapter_applied(model), torch.no_grad():
            apart = top_k_divergence(answer_logits(net, [row], None).float().cpu(), own)
        most = max(most, float(apart.abs().max()))
    return most


def _check_teacher_reads(teacher: Any, net: Net, rows: Sequence[EncodedExample]) -> None:
    known = net.module.get_input_embeddings().weight.shape[0]
    highest = max((max(row.ids) for row in rows), default=0)
    longest = max((len(row.ids) for row in rows), default=0)
    if highest >= known or (teacher.context is not None and longest > teacher.context):
        raise ModelError(
            "the teacher can't read the rows of the student",
            where=teacher.spec,
            got=f"token {highest} of {known}, {longest} tokens in a row",
            fix="use a teacher with the student's tokenizer and a longer context, or `loss: text`",
        )


def reverse_divergence(logits: Any, teacher: Any, temperature: float = 1.0) -> Any:
    """Return KL(student | teacher) in nats at each token, over the whole vocabulary.

    Both are logits [tokens, vocabulary] at temperature 1. It is the loss on texts that the student
    writes itself (Agarwal et al. 2024): what the teacher finds unlikely there costs most.
    """
    own, theirs = (
        _rescaled(torch.log_softmax(each.float(), -1), temperature) for each in (logits, teacher)
    )
    return temperature**2 * (own.exp() * (own - theirs)).sum(-1)
