"""Estimated tokens are near the counts of published tokenizers, also where bytes / 4 is not."""

import json

import pytest

from tuneworthy.records.tokens import text_tokens

ORDER = {"id": "A-20391", "items": [{"sku": "TX-11", "qty": 2, "price": 19.99}], "name": "Ann Lee"}
# The counts were made with the tokenizers cl100k, o200k and an older one of Claude.
COUNTED = {
    "prose": (
        "My parcel was due on Tuesday and still has not arrived. Could you tell me where it is,"
        " and refund the delivery fee if it is lost?",
        (30, 30, 30),
    ),
    "compact JSON": (
        '{"intent":"refund","order_id":"A-20391","amount":24.49,"currency":"EUR",'
        '"date":"2024-05-11","urgent":true,"tags":["late","damaged"]}',
        (43, 44, 44),
    ),
    "indented JSON": (
        json.dumps({"order": ORDER, "status": "delayed"}, indent=2), (71, 71, 68),
    ),
    "code": (
        "def mean(values):\n    total = 0.0\n    for value in values:\n        total += value\n"
        "    return total / max(len(values), 1)\n",
        (34, 34, 34),
    ),
    "a table": ("2024-01-03,12.50,993,0.0032\n2024-01-04,13.75,1002,0.0041\n", (37, 37, 36)),
}  # fmt: skip


@pytest.mark.parametrize("kind", COUNTED)
def test_english_json_and_code_are_within_a_sixth(kind):
    text, counts = COUNTED[kind]
    assert max(counts) * 5 / 6 <= text_tokens(text) <= min(counts) * 7 / 6


def test_what_four_bytes_a_token_made_a_third_too_low():
    text, counts = COUNTED["indented JSON"]
    assert len(text.encode()) / 4 < 0.7 * min(counts) < text_tokens(text)


def test_other_languages_are_within_about_half():
    german = (
        "Seit gestern Abend funktioniert mein Internetanschluss nicht mehr, obwohl ich den Router"
        " mehrfach neu gestartet habe. Bitte erstatten Sie mir schnellstmöglich die Grundgebühr."
    )
    chinese = "您好，我的订单已经三天没有更新物流信息了，请问什么时候可以送到？"
    assert 51 / 1.5 <= text_tokens(german) <= 34 * 1.5
    assert 27 / 1.5 <= text_tokens(chinese) <= 19 * 1.7


def test_pieces():
    assert text_tokens("") == 0
    assert text_tokens("a b") == 2  # the space belongs to the word behind it
    assert text_tokens("a 1") == 3  # and not to a number
    assert text_tokens("1234567") == 3
    assert text_tokens("a\n\n  b") == 3
    assert text_tokens("öß") == 1
    assert text_tokens("_____") == 2.5
