"""D1: a chat template that writes today's date makes the same prompt on every day."""

import datetime as dt

import pytest
import transformers.utils.chat_template_utils as templates
from models_kit import build

from tuneworthy.core.case import Message
from tuneworthy.models import _template
from tuneworthy.models._template import date_of, prompt_ids, undated
from tuneworthy.models.hf import load

TURNS = [Message(role="user", content="What day is it?")]
REST = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LITERAL = (
    "{% if strftime_now is defined %}{% set d = strftime_now('%d %b %Y') %}{% endif %}{{ d }}."
)
WORKED_OUT = "{% set form = '%Y-%m-' ~ '%d' %}{{ strftime_now(form) }}."


@pytest.fixture
def on(monkeypatch):
    """Returns a function that sets the day for chat templates and for us."""

    def day_of(day):
        class Day(dt.datetime):
            @classmethod
            def now(cls, tz=None):
                return cls(2030, 1, day, tzinfo=tz)

        monkeypatch.setattr(templates, "datetime", Day)
        monkeypatch.setattr(_template, "datetime", Day)

    return day_of


@pytest.fixture
def opened(tmp_path):
    """Returns a function that opens a tiny model with a chat template."""

    def made(template):
        build("llama", tmp_path)
        (tmp_path / "chat_template.jinja").write_text(template + REST)
        return load(tmp_path, "hf:./tiny")

    return made


def test_d1_the_prompt_of_tomorrow_is_that_of_today(opened, on):
    seen = []
    for day in (1, 2):
        on(day)
        model = opened(LITERAL)
        seen.append((prompt_ids(model.tokenizer, TURNS), model.fingerprint["template"]))
    assert seen[0] == seen[1]
    assert model.tokenizer.decode(seen[0][0]).startswith("26 Jul 2024.")


def test_d1_a_date_that_can_not_be_fixed_belongs_to_the_fingerprint(opened, on):
    seen = []
    for day in (1, 2):
        on(day)
        model = opened(WORKED_OUT)
        seen.append((prompt_ids(model.tokenizer, TURNS), model.fingerprint["template"]))
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]


def test_templates_without_a_date_stay_as_they_are():
    assert undated(REST) == REST
    assert undated(None) is None
    assert undated({"default": REST, "tools": LITERAL})["default"] == REST
    assert "strftime_now(" not in undated({"tools": LITERAL})["tools"]
    assert date_of(REST) == date_of(undated(LITERAL)) == date_of(None) == ""
