"""Keys of this process are found at any depth of what is read, and removed from what is shown."""

import pytest
from tests.key_kit import ENCODED, KEY, traces

from tuneworthy.records.errors import DataError, SecurityError, refuse_environment_keys
from tuneworthy.records.redaction import (
    REMOVED,
    Redactor,
    environment_key_in,
    has_key,
    without_environment_keys,
    without_keys,
)
from tuneworthy.rows.bad_rows import RawRow, RowFault

TOKEN = "hf_only_this_process_1234"


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.mark.parametrize("value", [f"a{KEY}b", {"a": [1, None, {"b": (KEY,)}]}, {KEY: 1}])
def test_a_key_is_found_at_any_depth(value):
    assert environment_key_in(value) == "OPENAI_API_KEY"
    with pytest.raises(SecurityError, match="OPENAI_API_KEY") as refused:
        refuse_environment_keys(value, "rows.jsonl:3")
    assert refused.value.exit_code == 2
    assert "rows.jsonl:3" in str(refused.value)
    assert not traces(str(refused.value))


def test_the_other_key_has_its_own_name():
    assert environment_key_in([TOKEN]) == "HF_TOKEN"


@pytest.mark.parametrize("value", [KEY[:-1], KEY[1:], 7, None, {"a": [KEY.upper()]}])
def test_what_is_no_key_passes(value):
    assert environment_key_in(value) == ""
    refuse_environment_keys(value, "here")


@pytest.mark.parametrize(
    "short", ["", "none", "EMPTY", "  sk-1234 ", "lm-studio", "sk-no-key-required"]
)
def test_a_short_word_or_one_without_a_digit_is_no_key(monkeypatch, short):
    monkeypatch.setenv("OPENAI_API_KEY", short)
    monkeypatch.delenv("HF_TOKEN")
    assert environment_key_in(f"the word {short}") == ""
    assert without_environment_keys(f"the word {short}") == f"the word {short}"


@pytest.mark.parametrize("spelling", ENCODED.values(), ids=ENCODED)
def test_errors_show_no_spelling_of_it(spelling):
    error = DataError(spelling, where=[spelling, TOKEN], got=spelling, fix=spelling, kept=spelling)
    shown = str(error) + str(error.plain())
    assert not traces(shown)
    assert TOKEN not in shown


def test_a_key_at_the_limit_of_what_is_shown_is_removed_before_the_cut():
    assert not traces(str(DataError("bad", got="x" * 190 + KEY)))


def test_rows_and_faults_hold_none():
    with pytest.raises(SecurityError, match="a:1"):
        RawRow("a:1", {"meta": {"note": KEY}})
    assert not traces(RowFault("a:1", "bad", got=f"{{{KEY}", id=KEY).got)


def test_logs_lose_own_keys_and_what_looks_like_one():
    other = "sk-" + "a1" * 12
    assert has_key(f"x {KEY}")
    assert has_key(f"x {other}")
    assert not has_key("x sk-1")
    assert without_keys(f"{KEY} {other} é") == "[key removed] [key] é"


def test_a_redactor_cleans_texts_json_and_the_end_of_what_was_cut():
    clean = Redactor(KEY)
    assert clean.text(f"a {KEY} \ud800") == f"a {REMOVED} \ufffd"
    assert clean.json({KEY: [KEY, 1, None, {"a": KEY}]}) == {
        REMOVED: [REMOVED, 1, None, {"a": REMOVED}]
    }
    assert clean.end(f"no: {KEY[:9]}") == f"no: {REMOVED}"
    assert clean.end("no: sk") == "no: sk"
    assert KEY not in repr(clean)
    assert Redactor(None).text("a \ud800") == "a \ufffd"
    assert Redactor("sk-none").text("sk-none") == "sk-none", "shorter than eight characters"
