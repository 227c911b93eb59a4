"""The Ollama Modelfile asks for the answers that were measured: greedy, without a penalty."""

from types import SimpleNamespace as Made

import pytest

from tuneworthy.build._modelfile import modelfile
from tuneworthy.core.model import Limits


def written(context, **limits):
    """Return the parameters of a Modelfile by name, and its notes."""
    tokenizer = Made(convert_ids_to_tokens=lambda end: f"<{end}>")
    parts = Made(
        model=Made(tokenizer=tokenizer, ends=(2,)), base=Made(context=context), sample=(),
        artefact=Made(pack=Made(limits=Limits(max_tokens=8, **limits))),
    )  # fmt: skip
    text, notes = modelfile(parts, "w.gguf")
    pairs = [line.split()[1:] for line in text.splitlines() if line.startswith("PARAMETER")]
    return dict(pairs), " ".join(notes)


@pytest.fixture(autouse=True)
def _no_template(monkeypatch):
    monkeypatch.setattr("tuneworthy.build._modelfile.turn_template", lambda tokenizer: None)


def test_answers_are_greedy_and_repeated_tokens_are_not_penalised():
    told, notes = written(2048)
    assert (told["temperature"], told["repeat_penalty"]) == ("0", "1.0")
    assert (told["num_ctx"], told["num_predict"]) == ("2048", "8")
    assert "num_ctx" not in notes


def test_room_for_thinking_is_part_of_the_answer_and_a_cut_context_is_said():
    told, notes = written(131_072, thinking="on", thought_tokens=1024)
    assert (told["num_ctx"], told["num_predict"]) == ("8192", "1032")
    assert "raise num_ctx" in notes
    assert "131,072" in notes
