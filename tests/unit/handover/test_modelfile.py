"""The Ollama Modelfile asks for the answers that were measured: greedy, without a penalty."""

from types import SimpleNamespace as Made

import pytest

from tuneworthy.handover.forms._modelfile import modelfile
from tuneworthy.records.artefact import Recipe
from tuneworthy.records.case import Case, Message
from tuneworthy.records.model import Limits


def export(context=2048, sample=(), cases=(), thinks=False, pack=None, end="<{}>", **limits):
    """Return (text of a Modelfile, notes for the user)."""
    tokenizer = Made(convert_ids_to_tokens=end.format)
    more = {"passages": None, "recipe": None, **(pack or {})}
    parts = Made(
        model=Made(tokenizer=tokenizer, ends=(2,), thinks=thinks), base=Made(context=context),
        sample=[Message(role=role, content=text) for role, text in sample], cases=cases,
        artefact=Made(pack=Made(limits=Limits(max_tokens=8, **limits), **more)),
    )  # fmt: skip
    return modelfile(parts, "w.gguf")


def written(context, **more):
    """Return the parameters of a Modelfile by name, and its notes."""
    text, notes = export(context, **more)
    pairs = [line.split()[1:] for line in text.splitlines() if line.startswith("PARAMETER")]
    return dict(pairs), " ".join(notes)


@pytest.fixture(autouse=True)
def _no_template(monkeypatch):
    monkeypatch.setattr(
        "tuneworthy.handover.forms._modelfile.turn_template", lambda tokenizer: None
    )


def test_answers_are_greedy_and_repeated_tokens_are_not_penalised():
    told, notes = written(2048)
    assert (told["temperature"], told["repeat_penalty"]) == ("0", "1.0")
    assert told["top_k"] == "1", "Ollama's OpenAI routes set temperature 1 if a request has none"
    assert (told["num_ctx"], told["num_predict"]) == ("2048", "8")
    assert "num_ctx" not in notes


def test_room_for_thinking_is_part_of_the_answer_and_a_cut_context_is_said():
    told, notes = written(131_072, thinking="on", thought_tokens=1024)
    assert (told["num_ctx"], told["num_predict"]) == ("8192", "1032")
    assert "raise num_ctx" in notes
    assert "131,072" in notes


def test_a_model_that_always_thinks_has_room_for_it_too():
    assert written(2048, thinks=True, thought_tokens=100)[0]["num_predict"] == "108"
    assert written(2048, thought_tokens=100)[0]["num_predict"] == "8"


INPUT = ("user", "{input}")


@pytest.mark.parametrize(
    ("system", "lost"),
    [("Sort it.\n\tSay \"a\".", ""), ("Classez\u00a0: a", "U+00A0"), ("分类\u3000一", "U+3000"),
     ("a \U0001f468\u200d\U0001f52c", "U+200D"), ('a """ b', "three quotes")],
)  # fmt: skip
def test_a_system_turn_that_ollama_would_change_is_left_out(system, lost):
    """Its parser writes only what Go calls printable, without an error."""
    text, notes = export(sample=[("system", system), INPUT])
    assert (f'SYSTEM """{system}"""' in text) == (not lost)
    assert ("SYSTEM" in text) == (not lost)
    assert lost in " ".join(notes)
    assert bool(notes[1:]) == bool(lost)  # the first is on the template


def test_what_a_prompt_has_besides_system_turn_and_input_is_said():
    def said(**given):
        return " ".join(export(**given)[1])

    assert "pack.json" not in said(sample=[("system", "Sort."), INPUT])
    assert "pack.json" in said(sample=[INPUT, ("assistant", "b"), INPUT])
    assert "pack.json" in said(sample=[("user", "{input}\n\nOne word.")])
    assert "looked up" in said(sample=[INPUT], pack={"passages": "some"})
    assert "looked up" in said(sample=[INPUT], pack={"recipe": Recipe(kind="nearest", k=2)})
    turns = [(Message(role="system", content=text), Message(role="user", content="x"))
             for text in ("a", "b")]  # fmt: skip
    rows = [Case(id=str(n), messages=turn, output="y") for n, turn in enumerate(turns)]
    assert "different system turns" in said(sample=[INPUT], cases=rows)


@pytest.mark.parametrize("end", ["<|im_end|>", 'a"\nSYSTEM "b', "a\nb"])
def test_an_end_token_writes_no_line_of_its_own(end):
    text, notes = export(end=end)
    kept = end == "<|im_end|>"
    assert ("PARAMETER stop" in text) == kept
    assert not [line for line in text.splitlines() if line.startswith(("SYSTEM", "b"))]
    assert ("send it as `stop`" in " ".join(notes)) != kept
