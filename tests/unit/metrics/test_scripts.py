"""`token_f1` and `rouge_l` in every script, and where `token_f1` differs from SQuAD's formula."""

import pytest

from tuneworthy.metrics._words import script_words
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case
from tuneworthy.records.plugins import load

CHINESE = "2024年销售额增长10%，主要来自出口"
RUSSIAN = "В 2024 году продажи выросли"


def value(metric, gold, said):
    case = Case(id="c", messages=(), output=gold)
    return load("metrics", metric).score(case, Answer(case="c", text=said), {}).value


@pytest.mark.parametrize("metric", ["token_f1", "rouge_l"])
@pytest.mark.parametrize(
    ("gold", "said", "wanted"),
    [
        (CHINESE, "2024 10", 4 / 16),
        (CHINESE, CHINESE + "。", 1),
        (CHINESE, "销售额增长", 10 / 19),
        (RUSSIAN, "2024", 2 / 6),
        (RUSSIAN, "продажи выросли", 4 / 7),
        ("日本の「東京」", "日本の東京", 1),
        ("ราคาสูงขึ้น", "ราคาสูง", 12 / 14),
        ("हिन्दी भाषा", "हिन्दी", 2 / 3),
        ("naïve Straße", "na ve stra e", 0),
    ],
)
def test_words_of_every_script_count(metric, gold, said, wanted):
    assert value(metric, gold, said) == pytest.approx(wanted)


def test_marks_stay_with_their_letters():
    assert script_words("हिन्दी it's x_y １２") == ["हिन्दी", "it", "s", "x", "y", "１２"]
    assert script_words("ขึ้น") == ["ขึ้", "น"]


@pytest.mark.parametrize(
    ("gold", "said", "wanted"),
    [
        ("-3.5", "35", 0),
        ("-3.5", "3.5", 0),
        ("-3.5", "–3.5.", 1),
        ("-$5", "$−5", 1),
        ("3,5", "35", 0),
        (".5", "5", 0),
        ("1,000.50", "1000.50", 1),
        ("A", "the", 0),
        ("the", "The", 1),
        ("???", "!!!", 0),
        ("a cat", "cat", 1),
        ("wait...5", "wait5", 1),
    ],
)
def test_token_f1_keeps_signs_points_and_lone_articles(gold, said, wanted):
    assert value("token_f1", gold, said) == wanted
