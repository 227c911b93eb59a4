"""The page of the experiments: its numbers are those of the results, marks lie where they say."""

import re

import pytest

from tuneworthy.lab.claim_results import (
    Claim,
    ClaimResult,
    Expected,
    Figure,
    claim_results,
    claims_page,
    interval_positions,
    interval_text,
    number_text,
)
from tuneworthy.lab.pages import Site

FILE = Site(live=False)
ATTACK = "<script>alert(1)</script>"


def figure(low, high, name="gain", unit="points"):
    return Figure(name=name, mean=(low + high) / 2, low=low, high=high, n=200, seeds=3, unit=unit)


def told(number, verdict, shown, **more):
    fields = {
        "number": number, "name": f"e{number}", "claim": f"claim {number}", "said": "guides",
        "prediction": "p", "refuted_if": "r", "design": "d", "verdict": verdict, "model": "tiny",
        "machine": "m", "command": "python x", "date": "2026-11-29", "minutes": 1.5,
        "expects": (Expected(figure="gain", above=0.05),),
        "figures": (shown, figure(0.1, 0.2, "beside")),
    }  # fmt: skip
    return ClaimResult(**{**fields, **more})


RESULTS = [
    told(1, "confirmed", figure(0.06, 0.2), found="it holds", reduced=("fewer rows",)),
    told(2, "refuted", figure(-0.1, 0.04), claim=ATTACK),
    told(3, "undecided", figure(0.0, 0.1)),
]


WAITING = Claim.model_validate({key: getattr(told(9, "refuted", figure(0.1, 0.2)), key)
                                for key in Claim.model_fields})  # fmt: skip


@pytest.mark.parametrize("site", [Site(), FILE], ids=["live", "file"])
def test_each_result_stands_under_its_verdict_with_its_interval(site):
    page = claims_page(site, RESULTS, [WAITING])
    order = [page.index(f'id="{each}"') for each in ("confirmed", "e1", "refuted", "e2", "e3")]
    assert order == sorted(order)
    assert ".13 (.06 to .20)" in page
    assert "−.03 (−.10 to .04)" in page
    for text in ("it holds", "fewer rows", "predicted above .05: holds", "python x", "beside"):
        assert text in page
    assert re.findall(r"(\d) (confirmed|refuted|undecided)</a>", page) == [
        ("1", "confirmed"), ("1", "refuted"), ("1", "undecided"),
    ]  # fmt: skip
    assert ATTACK not in page
    assert not re.search(r"<[^>]*\s(style|on\w+)=", page)
    assert "<script" not in page


def test_what_ships_is_shown_whole():
    page = claims_page(FILE)
    for each in claim_results():
        assert f'id="e{each.number}"' in page
        assert all(interval_text(shown) in page for shown in each.figures)


def test_a_prediction_that_waits_stands_below_and_is_counted():
    page = claims_page(FILE, RESULTS, [WAITING])
    assert "3 of 4 ran:" in page
    assert page.index("not run yet") < page.index('id="e9"')
    assert "We predict: p" in page


def test_without_results_the_page_says_where_they_come_from():
    assert "No experiment was run yet" in claims_page(FILE, [], [])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.001, "0"), (0.07, ".07"), (-0.5, "−.50"), (1.0, "1.00"), (58.4, "58"),
     (2400.0, "2,400")],
)  # fmt: skip
def test_numbers_are_written_as_people_write_them(value, text):
    assert number_text(value) == text


def test_marks_lie_in_order_and_the_predicted_side_is_shaded():
    up = interval_positions(Expected(figure="gain", above=0.05), figure(0.06, 0.2))
    assert up["at"] < up["low"] < up["mean"] < up["high"] < 300
    assert (up["begin"], up["begin"] + up["wide"]) == (up["at"], 300)
    down = interval_positions(Expected(figure="gain", below=0.05), figure(0.06, 0.2))
    assert (down["begin"], down["wide"]) == (0.0, down["at"])


def test_a_share_without_a_bound_is_not_drawn():
    wide = figure(-99.0, 99.0, unit="share")
    assert interval_positions(Expected(figure="gain", above=0.3), wide) is None
    assert interval_text(wide) == "not bounded: the gain may be 0"
    assert "not bounded" in claims_page(FILE, [told(4, "undecided", wide)])
