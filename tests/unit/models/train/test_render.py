"""Masks and token ids, against an oracle of character spans and the template itself (N11, P8)."""

import random

import pytest

from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.models.train.training_data import Excluded, render
from tuneworthy.records.case import Message
from tuneworthy.records.errors import ModelError

pytestmark = pytest.mark.full
FAMILIES = ["chatml", "llama3", "gemma", "mistral", "zephyr", "bare"]
WORDS = [
    "Größe",
    "naïve",
    "🙂",
    "{",
    '"a": [1, null]',
    "\n",
    "\t",
    "  ",
    "日本語",
    "x",
    "Ann",
    "of",
]


def user(text, system=None):
    lead = [Message(role="system", content=system)] if system else []
    return [*lead, Message(role="user", content=text)]


def drawn(draw):
    first = draw.choice("abcXYZ")
    rest = "".join(draw.choice(WORDS) + draw.choice(["", " "]) for _ in range(draw.randint(0, 12)))
    return first + rest + draw.choice("qrs")


def oracle(tokenizer, messages, answer, end):
    """Return ids and mask by character spans of the text that the template itself renders."""
    turns = [{"role": m.role, "content": m.content} for m in messages]
    turns.append({"role": "assistant", "content": answer})
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    start = text.rindex(answer)
    stop = text.index(end, start + len(answer)) + len(end)
    if text[start - 1] == " ":  # the prompt ends before this blank, so a reply has to write it
        start -= 1
    coded = tokenizer(text[:stop], add_special_tokens=False, return_offsets_mapping=True)
    mask = [high > start for _, high in coded["offset_mapping"]]
    whole = tokenizer.apply_chat_template(turns, tokenize=True)["input_ids"]
    return coded["input_ids"], mask, whole


@pytest.mark.parametrize("family", ["chatml", "llama3", "gemma", "mistral", "zephyr"])
def test_n11_ids_and_mask_equal_the_character_span_oracle(tiny, family):

    tokenizer, end, draw = tiny.tokenizer(family), tiny.end(family), random.Random(family)
    for _ in range(60):
        system = drawn(draw) if draw.random() < 0.5 and family not in {"gemma", "mistral"} else None
        messages, answer = user(drawn(draw), system), drawn(draw)
        ids, mask, whole = oracle(tokenizer, messages, answer, end)
        row = render(tokenizer, messages, answer)
        assert list(row.ids) == ids == whole[: len(ids)]
        assert list(row.mask) == mask
        assert row.ids[-1] == tokenizer.convert_tokens_to_ids(end)
        assert row.mask[-1]
        assert list(row.ids[: row.first]) == prompt_ids(tokenizer, messages)


def test_n11_the_oracle_sees_a_double_bos_and_a_dropped_end(tiny):
    tokenizer, messages = tiny.tokenizer("llama3"), user("hello")
    ids, _, _ = oracle(tokenizer, messages, "fine", "<|eot_id|>")
    row = render(tokenizer, messages, "fine")
    text = tokenizer.decode(ids)
    naive = tokenizer(text)["input_ids"]  # what an engine gets that encodes the rendered text
    assert naive != ids
    assert naive[:2] == [tokenizer.bos_token_id] * 2
    assert row.ids.count(tokenizer.bos_token_id) == 1
    assert list(row.ids[:-1]) != ids


def test_the_prompt_is_what_the_template_asks_with(tiny):
    for family in FAMILIES:
        tokenizer, messages = tiny.tokenizer(family), user("Is the router broken?")
        turns = [{"role": "user", "content": "Is the router broken?"}]
        asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
        assert prompt_ids(tokenizer, messages) == asked, family


def test_a_system_turn_that_the_template_refuses_or_drops_goes_into_the_first_user_turn(tiny):
    for family in ("gemma", "mistral"):
        tokenizer = tiny.tokenizer(family)
        row = render(tokenizer, user("Hello", "Be brief."), "Hi")
        assert row.ids == render(tokenizer, user("Be brief.\n\nHello"), "Hi").ids


def test_a_turn_without_an_end_of_its_own_ends_with_the_end_of_text(tiny):
    tokenizer = tiny.tokenizer("bare")
    row = render(tokenizer, user("Hello"), "Hi")
    assert tokenizer.decode(row.ids[row.first :]) == "Hi<eos>"


def test_an_empty_thinking_block_is_no_part_of_the_answer(tiny):
    tokenizer = tiny.tokenizer("qwen3")
    row = render(tokenizer, user("Hello"), "Hi Ann")
    assert tokenizer.decode(row.ids[row.first :]) == "Hi Ann<|im_end|>"
    refused = render(tokenizer, user("Hello"), "so </think> then")
    assert refused == Excluded("the chat template changes the answer")


@pytest.mark.parametrize("family", FAMILIES)
def test_special_tokens_in_data_are_text(tiny, family):
    tokenizer = tiny.tokenizer(family)
    for token in tokenizer.all_special_tokens:
        plain = render(tokenizer, user("a b"), "c d")
        row = render(tokenizer, user(f"a {token} b"), f"c {token} d")
        number = tokenizer.convert_tokens_to_ids(token)
        assert row.ids.count(number) == plain.ids.count(number), token
        assert f"c {token} d" in tokenizer.decode(row.ids[row.first :])
        naive = tokenizer(f"a {token} b", add_special_tokens=False)["input_ids"]
        assert number in naive  # the control: encoded naively it is the real token


def test_an_answer_that_merges_with_the_header_starts_after_the_prompt(tiny):
    tokenizer = tiny.tokenizer("chatml")
    answer = "\n\nyes"
    messages = user("x")
    whole = tokenizer.apply_chat_template(
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": answer}]
    )["input_ids"]
    row, asked = render(tokenizer, messages, answer), prompt_ids(tokenizer, messages)
    assert list(row.ids[: len(asked)]) == asked
    assert tokenizer.decode(row.ids[row.first :]) == answer + "<|im_end|>"
    assert whole[: len(asked)] != asked  # the control: the template's own ids merge the newlines


def test_rows_that_cannot_be_trained_on_say_why(tiny):
    tokenizer = tiny.tokenizer("chatml")
    assert render(tokenizer, user("x"), " \n") == Excluded("the answer is empty")
    row = render(tokenizer, user("x"), "yes")
    assert render(tokenizer, user("x"), "yes", context=len(row.ids)) == row
    cut = render(tokenizer, user("x"), "yes", context=len(row.ids) - 1)
    assert cut == Excluded("longer than the model's context")
    tokenizer.chat_template = "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}"  # noqa: E501
    assert "no trained token" in render(tokenizer, user("x"), "yes").reason
    tokenizer.chat_template = "{{ raise_exception('only pictures') }}"
    assert "only pictures" in render(tokenizer, user("x"), "yes").reason
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="no chat template"):
        render(tokenizer, user("x"), "yes")


def test_text_that_the_vocabulary_cannot_hold_is_left_out(tiny):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<unk>": 0, "yes": 1, "</s>": 2}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['content'] }} {{ eos_token }}{% endfor %}"
    )
    assert render(tokenizer, user("yes"), "yes").trained == 2
    lost = render(tokenizer, user("yes"), "strange")
    assert lost == Excluded("the answer does not survive the tokenizer")


THINKS = {  # the ends of public templates: what a switch writes, and what always opens a thought
    "qwen3": (
        "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
        "{% endif %}"
    ),
    "qwen3.5": (
        "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
        "{% else %}<think>\n{% endif %}"
    ),
    "deepseek": "{% if thinking is defined and thinking %}<think>{% else %}</think>{% endif %}",
    "seed": (
        "{% if thinking_budget is defined and thinking_budget == 0 %}<seed:think></seed:think>"
        "{% endif %}"
    ),
    "mistral": (
        "{% set reasoning_effort = reasoning_effort if reasoning_effort is defined else 'none' %}"
        "{% if reasoning_effort != 'none' %}[THINK]{% endif %}"
    ),
    "always": "<think>\n",
    "never": "",
}


def thinking(tiny, name, setting):
    from tuneworthy.models.local.opening import set_thinking

    tokenizer = tiny.tokenizer("chatml")
    tail = "<|im_start|>assistant\n{% endif %}"
    assert tokenizer.chat_template.endswith(tail)
    tokenizer.chat_template = tokenizer.chat_template.replace(
        tail, "<|im_start|>assistant\n" + THINKS[name] + "{% endif %}"
    )
    return tokenizer, set_thinking(tokenizer, setting)


@pytest.mark.parametrize(
    ("name", "setting", "state", "end"),
    [("qwen3", "auto", "off", "</think>\n\n"), ("qwen3", "off", "off", "</think>\n\n"),
     ("qwen3", "on", "free", "assistant\n"), ("qwen3.5", "auto", "off", "</think>\n\n"),
     ("qwen3.5", "on", "open", "<think>\n"), ("deepseek", "auto", "off", "</think>"),
     ("deepseek", "on", "open", "<think>"), ("seed", "auto", "off", "</seed:think>"),
     ("seed", "on", "free", "assistant\n"), ("mistral", "off", "off", "assistant\n"),
     ("mistral", "on", "open", "[THINK]"), ("always", "auto", "open", "<think>\n"),
     ("never", "on", "none", "assistant\n")],
)  # fmt: skip
def test_d3_a_row_is_trained_on_the_ids_that_the_model_is_asked_with(
    tiny, name, setting, state, end
):
    from tuneworthy.models.local.chat_template import answer_ids, text_ids

    tokenizer, known = thinking(tiny, name, setting)
    assert known.state == state
    messages = user("Is it late?", "Be brief.")
    asked = prompt_ids(tokenizer, messages)
    assert tokenizer.decode(asked).endswith(end)
    row = render(tokenizer, messages, "yes")
    assert list(row.ids[: row.first]) == asked
    said = tokenizer.decode(row.ids[row.first :])
    closing = {"<think>\n": "</think>\n\n", "<think>": "</think>\n\n", "[THINK]": "[/THINK]"}
    assert said == f"{closing.get(end, '') if state == 'open' else ''}yes<|im_end|>"
    whole = [*answer_ids(tokenizer, messages), *text_ids(tokenizer, "yes")]
    assert list(row.ids[: len(whole)]) == whole, "answers are scored where they are trained"


def test_d3_the_switch_stands_in_the_template_itself(tiny):
    templates = {thinking(tiny, "qwen3", how)[0].chat_template for how in ("auto", "off", "on")}
    assert len(templates) == 2
    plain, _ = thinking(tiny, "never", "off")
    assert plain.chat_template == tiny.tokenizer("chatml").chat_template


def test_d3_a_macro_and_a_first_line_break_see_the_switch_and_stay(tiny):
    from tuneworthy.models.local.opening import set_thinking

    tokenizer = tiny.tokenizer("chatml")
    tokenizer.chat_template = (
        "\n{% macro tail() %}{% if enable_thinking is defined and not enable_thinking %}"
        "<think></think>{% endif %}{% endmacro %}"
        "{% for m in messages %}{{ m.content }}{% endfor %}{{ tail() }}"
    )
    before = tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    assert set_thinking(tokenizer, "off").state == "off"
    after = tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    assert after == before + "<think></think>"
