"""D1: a chat template that writes today's date renders the same prompt on every day."""

import pytest
from models_kit import build

from tuneworthy.models.hf import load
from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.records.case import Message

TURNS = [Message(role="user", content="What day is it?")]
REST = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LITERAL = (
    "{% if strftime_now is defined %}{% set d = strftime_now('%d %b %Y') %}{% endif %}{{ d }}."
)
WORKED_OUT = "{% set form = '%d ' ~ '%b %Y' %}{{ strftime_now(form) }}."


@pytest.mark.parametrize("template", [LITERAL, WORKED_OUT])
def test_d1_the_date_of_a_prompt_is_fixed(template, tmp_path):
    build("llama", tmp_path)
    (tmp_path / "chat_template.jinja").write_text(template + REST)
    model = load(tmp_path, "hf:./tiny")
    ids = prompt_ids(model.tokenizer, TURNS)
    assert model.tokenizer.decode(ids).startswith("26 Jul 2024.")
