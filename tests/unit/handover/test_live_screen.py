"""The screen of `check --live`: widths, plain text, nothing of a log forges a line."""

import pytest
from check_scenes import check, drift, facts, mean, unlike
from rich.cells import cell_len
from tests.unit.handover.check_scenes import share_of

from tuneworthy.handover.conclusion import conclude
from tuneworthy.records.live_check import Expiry
from tuneworthy.report.checks import live_check_screen


def concluded(**changes):
    made = check(**changes)
    return made.model_copy(update={"conclusion": conclude(made)})


FULL = {
    "score": mean(0.7, 0.9), "slow": share_of(30, 200, 0.005), "p95_limit": 800.0,
    "facts": facts(12, old=8),
    "unlike": unlike(40).model_copy(update={"texts": ("läuft 机器", "x")}),
    "bad_lines": 5, "bad": tuple(f"live.jsonl:{at}: not JSON" for at in range(5)),
    "others": 3, "without_input": 2, "without_answer": 1, "used": 150,
}  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("changes", [{}, FULL, {"inputs": drift(0.001)}])
def test_every_line_fits_and_plain_is_ascii(width, plain, changes):
    text = live_check_screen(concluded(**changes), width, plain).plain
    assert max(map(cell_len, text.splitlines())) <= width
    assert text.isascii() or not plain


def said(**changes):
    return " ".join(live_check_screen(concluded(**changes), 120).plain.split())


def test_it_says_what_to_do_first_and_then_every_measure():
    text = said(inputs=drift(0.001))
    assert text.startswith("retrain: about 120 new rows (80 to 160)")
    assert "drift is shown" in text
    assert "no drift is shown" in said()
    assert "score not measured: no request has a right answer" in text
    full = said(**FULL)
    assert "not JSON; …" in full
    assert "the latest 150 are used" in full
    assert "3 other spans" in full
    assert "took longer than 800 ms" in full
    assert "answers: 8 old, 4 new" in full


def test_requests_to_other_names_are_counted():
    text = said(requests=300, used=150, other_names=150)
    assert "150 to other names, left out" in text
    assert "the latest" not in text


def test_expiry_is_told_as_it_is():
    assert "holds until 2026-06-01" in said()
    late = said(expiry=Expiry(day="2026-01-01", passed=True, because="the model is retired"))
    assert "expired on 2026-01-01" in late
    none = said(expiry=Expiry(day=None, because="nothing is known"))
    assert "expiry none: nothing is known" in none


def test_no_value_of_a_log_forges_a_line():
    evil = "\x1b[2J\nkeep\u202e"
    made = concluded(log=evil, models={evil: 3}, bad_lines=1, bad=(evil,),
                     unlike=unlike(4).model_copy(update={"texts": (evil, evil)}))  # fmt: skip
    text = live_check_screen(made, 80).plain
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert sum(line.strip() == "keep" for line in text.splitlines()) == 1
