"""The page of the experiments: its numbers are those of the results, marks lie where they say."""

import re
from html import unescape
from itertools import pairwise

import pytest

from tuneworthy.lab.claim_results import (
    Claim,
    ClaimResult,
    Expected,
    Figure,
    claim_axis,
    claim_results,
    claims_page,
    interval_text,
    number_text,
)
from tuneworthy.lab.pages import Site

FILE = Site(live=False)
ATTACK = "<script>alert(1)</script>"


def figure(low, high, name="gain", unit="points"):
    return Figure(name=name, mean=(low + high) / 2, low=low, high=high, n=200, seeds=3, unit=unit)


def told(number, standing, shown, verdict="confirmed", **more):
    fields = {
        "number": number, "name": f"e{number}", "claim": f"claim {number}", "said": "guides",
        "prediction": "p", "refuted_if": "r", "design": "d", "verdict": verdict,
        "standing": standing, "model": "tiny", "machine": "m", "command": "python x",
        "date": "2026-11-29", "minutes": 1.5,
        "expects": (Expected(figure="gain", above=0.05),),
        "holds_if": (Expected(figure="gain", below=0.05),),
        "figures": (shown, figure(0.1, 0.2, "beside")),
    }  # fmt: skip
    return ClaimResult(**{**fields, **more})


RESULTS = [
    told(1, "does not hold", figure(0.06, 0.2), found="it fails", reduced=("fewer rows",)),
    told(2, "holds here only", figure(-0.1, 0.04), "refuted", claim=ATTACK),
    told(3, "not known", figure(0.0, 0.1), "undecided", caveat="a caution"),
]


WAITING = Claim.model_validate({key: getattr(told(9, "not known", figure(0.1, 0.2)), key)
                                for key in Claim.model_fields})  # fmt: skip


@pytest.mark.parametrize("site", [Site(), FILE], ids=["live", "file"])
def test_each_claim_stands_under_what_holds_with_its_interval(site):
    page = claims_page(site, RESULTS, [WAITING])
    order = [page.index(f'id="{each}"') for each in
             ("holds-here-only", "e2", "does-not-hold", "e1", "not-known", "e3", "e9")]  # fmt: skip
    assert order == sorted(order)
    assert 'id="holds"' not in page
    assert ".13 (.06 to .20)" in page
    assert "−.03 (−.10 to .04)" in page
    for text in ("it fails", "fewer rows", "a caution", "python x", "beside",
                 "holds if below .05",
                 "Measured with tiny, 200 rows, 3 seeds."):  # fmt: skip
        assert text in page
    assert re.findall(r"(\d) (holds[a-z ]*|does not hold|not known)<", page) == [
        ("0", "holds"), ("1", "holds here only"), ("1", "does not hold"), ("2", "not known"),
    ]  # fmt: skip
    assert ATTACK not in page
    assert not re.search(r"<[^>]*\s(style|on\w+)=", page)
    assert "<script" not in page


def test_the_first_sentence_of_each_claim_says_whether_it_holds():
    said = told(4, "not known", figure(0.0, 0.1), found="The rows are few.")
    part = told(5, "holds here only", figure(0.06, 0.2))
    page = unescape(re.sub(r"</?b[^>]*>", "", claims_page(FILE, [*RESULTS, said, part], [WAITING])))
    assert re.findall(r'<p class="means">(.*?)</p>', page) == [
        "Holds here. ", "Holds here in part. ", "Does not hold here. it fails",
        "Not known: the interval leaves it open.",
        "Not known: the rows are few.", "Not known: it was not run yet.",
    ]  # fmt: skip


def test_a_claim_that_does_not_hold_has_no_mark_of_one_that_does():
    """A true prediction says that the claim is false: it must not look like a claim that holds."""
    page = claims_page(FILE, RESULTS[:1], [])
    article = page[page.index('id="does-not-hold"') : page.index("<details>")]
    assert "✕" in article
    assert "✓" not in article
    assert 'class="span fails"' in article
    assert "came true" not in article
    assert "Our prediction came true" in page


def test_what_ships_is_shown_whole():
    page = claims_page(FILE)
    for each in claim_results():
        assert f'id="e{each.number}"' in page
        assert all(interval_text(shown) in page for shown in each.figures)


def test_a_prediction_that_waits_stands_below_and_is_counted():
    page = claims_page(FILE, RESULTS, [WAITING])
    assert "3 of 4 claims were measured" in page
    assert (
        page.index('id="not-known"') < page.index('id="e9"') < page.index("</b> it was not run yet")
    )
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


def test_marks_lie_in_order_and_the_side_of_the_claim_is_shaded():
    up = claim_axis([(Expected(figure="gain", above=0.05), figure(0.06, 0.2))])["lines"][0]
    assert 0 < up["limit"] < up["span"]["low"] < up["span"]["mean"] < up["span"]["high"] < 100
    assert (up["begin"], up["begin"] + up["wide"]) == (up["limit"], 100)
    down = claim_axis([(Expected(figure="gain", below=0.05), figure(0.06, 0.2))])["lines"][0]
    assert (down["begin"], down["wide"], down["side"]) == (0.0, down["limit"], "fails")


def test_the_figures_of_a_claim_share_one_axis_and_its_numbers_do_not_overlap():
    axis = claim_axis([(Expected(figure="a", above=0.05), figure(0.06, 0.2, "a")),
                       (Expected(figure="b", above=0.05), figure(-0.6, -0.5, "b"))])  # fmt: skip
    one, other = axis["lines"]
    assert one["limit"] == other["limit"]
    assert other["span"]["high"] < one["span"]["low"]
    assert ".05" in [text for _, text in axis["ticks"]]
    places = sorted(at for at, _ in axis["ticks"])
    assert all(b - a > 11 for a, b in pairwise(places))


def test_a_share_without_a_bound_is_not_drawn():
    wide = figure(-99.0, 99.0, unit="share")
    assert claim_axis([(Expected(figure="gain", above=0.3), wide)])["lines"][0]["span"] is None
    assert interval_text(wide) == "not bounded: the gain may be 0"
    assert "not bounded" in claims_page(FILE, [told(4, "not known", wide)])


def test_every_bar_says_what_is_compared_and_a_caveat_is_not_hidden():
    page = claims_page(FILE)
    for each in claim_results():
        assert {rule.figure for rule in each.holds_if} == set(each.compares)
        article = page[page.index(f'id="e{each.number}"') :].partition("<details>")[0]
        shown = unescape(article)
        assert all(words in shown for words in (each.caveat, each.beside, *each.compares.values()))


def test_what_touches_a_claim_without_testing_it_is_linked():
    page = claims_page(FILE, RESULTS, [WAITING.model_copy(
        update={"beside": "touches it", "beside_page": "atlas/key"})])  # fmt: skip
    assert 'touches it <a href="atlas-key.html">' in page
