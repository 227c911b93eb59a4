"""Checks of a student that fail its arm: each catches a fault that distillation hides otherwise.

Different chat templates or stop tokens teach a format that inference does not use; a loss that does
not fall on its own rows means that the targets are not those of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tuneworthy.core.errors import ModelError, NumericError
from tuneworthy.core.model import Prompt

CHECKED_ROWS = 8  # rows on which a check runs
ROUNDING_NATS = 1e-4  # nats a token: rounding of two reads of one model
LENGTH_FACTOR = 3.0  # factor between the lengths of the student's and the teacher's answers


def shares_tokenizer(teacher: Any, student: Any) -> bool:
    """Return whether both are local models that cut text into the same tokens."""
    if not (hasattr(teacher, "tokenizer") and hasattr(student, "tokenizer")):
        return False
    vocabularies = [model.tokenizer.get_vocab() for model in (teacher, student)]
    return bool(vocabularies[0] == vocabularies[1])


def check_same_form(teacher: Any, student: Any, prompts: Sequence[Prompt]) -> None:
    """Raise ModelError if models with one tokenizer render a prompt, or end a turn, differently."""
    from tuneworthy.models.local.chat_template import prompt_ids

    for prompt in prompts[:CHECKED_ROWS]:
        theirs, ours = (prompt_ids(model.tokenizer, prompt) for model in (teacher, student))
        if theirs != ours:
            at = next((n for n, pair in enumerate(zip(theirs, ours, strict=False))
                       if pair[0] != pair[1]), min(len(theirs), len(ours)))  # fmt: skip
            raise _template_mismatch(
                teacher, f"their tokens of one prompt differ from token {at} on"
            )
    if set(teacher.ends) != set(student.ends):
        raise _template_mismatch(teacher, f"they end a turn with {teacher.ends} and {student.ends}")


def _template_mismatch(teacher: Any, got: str) -> ModelError:
    return ModelError(
        "teacher and student share a tokenizer, but not the form of a conversation",
        where=str(teacher.spec),
        got=got,
        fix="give both the same chat template and end of turn, or take another teacher",
    )


def check_self_divergence(student: Any, prompts: Sequence[Prompt], texts: Sequence[str]) -> float:
    """Return the student's divergence from itself on some rows; NumericError if it is not 0."""
    from tuneworthy.training.render import EncodedExample, render
    from tuneworthy.training.top_k_loss import self_divergence

    pairs = zip(prompts[:CHECKED_ROWS], texts[:CHECKED_ROWS], strict=True)
    rows = [render(student.tokenizer, prompt, text, student.context) for prompt, text in pairs]
    apart = self_divergence(student, [row for row in rows if isinstance(row, EncodedExample)])
    if not apart <= ROUNDING_NATS:
        raise NumericError(
            "the model is not equal to itself: its divergence from itself should be 0",
            where=str(student.spec),
            got=f"{apart:.3g} nats a token",
            fix="train it in float32, or leave this arm out",
        )
    return apart


def check_learnt(trace: dict[str, Any], rows: int = CHECKED_ROWS) -> None:
    """Raise NumericError if the loss of the first rows did not fall over the epochs.

    That the weights moved is checked where they are trained (training/figures.py).
    """
    epochs = [sum(epoch[:rows]) / len(epoch[:rows]) for epoch in trace["loss_by_row"]["epochs"]]
    if len(epochs) > 1 and not epochs[-1] < epochs[0]:
        raise NumericError(
            f"the loss did not fall on the first {rows} rows",
            got=f"{epochs[0]:.3f}, then {epochs[-1]:.3f} nats a token",
            fix="set another `rate`, or train longer (`epochs`)",
        )


def check_lengths(student: Sequence[int], teacher: Sequence[int]) -> float | None:
    """Return the student's mean answer length over the teacher's (tokens); None without answers.

    Raises NumericError if it exceeds a factor of 3 either way: the student's answers do not end
    where the teacher's do.
    """
    if not student or not sum(teacher):
        return None
    ratio = sum(student) / sum(teacher)
    if not 1 / LENGTH_FACTOR <= ratio <= LENGTH_FACTOR:
        raise NumericError(
            "the student's answers are not as long as the teacher's",
            got=f"{ratio:.2f} times as long, on {len(student)} inputs",
            fix="check the end of turn of both models, or train longer (`epochs`)",
        )
    return ratio
