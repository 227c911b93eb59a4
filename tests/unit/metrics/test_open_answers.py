"""Metrics of open answers: what they give, recounted by hand; joined names; options; validity."""

import random

import pytest

from tuneworthy.metrics import (
    code,
    fingerprint,
    must_say,
    outline,
    score_all,
    scorer,
    scores_by_set,
)
from tuneworthy.metrics import style_match as style
from tuneworthy.metrics._outline import sections
from tuneworthy.metrics._style import separate, separate_halves
from tuneworthy.metrics._words import contains_phrase, normalise
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import Data, Output, Success, Task

USER = (Message(role="user", content="q"),)


def row(output="x", at=0, **more):
    return Case(id=str(at), messages=USER, output=output, **more)


def value(module, case, text, **options):
    found = module.score(case, Answer(case=case.id, text=text), {"type": "text", **options})
    assert isinstance(found, Score), found
    return found.value


def task(metric, kind="text", **options):
    success = Success(metric=metric, options=options)
    return Task(data=Data(file="r.jsonl"), output=Output(type=kind), success=success)


@pytest.mark.parametrize(
    ("text", "phrase", "said"),
    [
        ("Your NEW  kettle comes", "new kettle", True),
        ("renewed kettles", "new kettle", False),
        ("it’s done", "it's done", True),
        ("1,204 orders", "1204", True),
        ("12.5 units", "12", False),
        ("112 units", "12", False),
        ("costs $5.", "$5", True),
        ("costs $5.20", "$5", False),
        ("paid 5, then 6", "5", True),
        ("Straße", "STRASSE", True),
        ("anything", "  ", False),
        ("a.c", "abc", False),
        ("(see) [a+b]*", "[a+b]*", True),
        ("退款将在三天内到账。", "三天", True),  # no spaces between words
        ("退款将在三天内到账。", "五天", False),
        ("共2024元", "2024", True),
        ("共12024元", "2024", False),
        ("ส่งคืนภายในสามวัน", "สามวัน", True),
        ("возврат за три дня", "три", True),
        ("возврат за тридцать дней", "три", False),
    ],
)
def test_a_phrase_is_said_as_whole_words(text, phrase, said):
    assert contains_phrase(normalise(text), phrase) is said


def test_n14_must_say_is_the_share_of_demands():
    case = row(must_say=("Friday", "12 euros", "new lamp"), must_not_say=("sorry",))
    assert value(must_say, case, "A new lamp comes on Friday, 12 euros back") == 1
    assert value(must_say, case, "A new lamp comes on friday") == pytest.approx(2 / 3)
    assert value(must_say, case, "Sorry! A new lamp comes on Friday, 12 euros back") == 0
    assert value(must_say, row(must_not_say=("sorry",)), "fine") == 1
    assert isinstance(must_say.score(row(), Answer(case="0", text="x"), {}), Unscored)


def test_the_headings_of_a_text():
    text = "intro\n# One ##\na b\n**2. Two**\nc\nNOT\nnot this:\nFive\n---\n```\n# code\n```\n"
    found = sections(text)
    assert [s.title for s in found] == ["one", "two", "five"]
    assert [s.words for s in found] == [2, 4, 1]
    weak = sections("intro\n3. Three:\nc\nFOUR\n- not:\nNote: this goes on\n")
    assert [s.title for s in weak] == ["three", "four"]
    assert [s.words for s in weak] == [1, 5]
    assert sections("plain text, no heading") == []


def test_n14_outline_counts_sections_order_extras_and_length():
    gold = "# A\none two\n# B\nthree four\n# C\nfive six"
    case = row(gold)
    assert value(outline, case, gold) == 1
    assert value(outline, case, gold.replace("# ", "## ")) == 1
    assert value(outline, case, "# B\nthree four\n# A\none two\n# C\nfive six") == 7 / 8
    assert value(outline, case, "# A\none two\n# B\nthree four") == 6 / 8  # C: found and placed
    assert value(outline, case, "# A\none two\n# B\n# C\nfive six") == 7 / 8  # B is empty
    assert value(outline, case, gold + "\n# D\nmore") == 7 / 8
    assert value(outline, case, gold + " word" * 40) == 7 / 8
    assert value(outline, case, "no layout at all in this text") == 2 / 8
    assert value(outline, row("plain"), "# A\nx\n# B\ny", sections=["A", "B"], most_words=9) == 1
    assert value(outline, row("plain"), "# A\nx", sections=["A", "B"], least_words=9) == 3 / 6
    assert isinstance(outline.score(row("plain"), Answer(case="0", text="x"), {}), Unscored)


GOLD = 'def add(a: int, b: int) -> int:\n    """Return the sum."""\n    return a + b'


def test_n14_code_parses_defines_and_keeps_the_patterns():
    case = row(GOLD)
    asked = {"require": ("docstring", "annotations"), "forbid": ("For", "call:print")}
    assert value(code, case, GOLD, **asked) == 1
    assert value(code, case, f"Here it is:\n```python\n{GOLD}\n```\nDone.", **asked) == 1
    assert value(code, case, "def add(a, b):\n    return a + b", **asked) == pytest.approx(1 / 3)
    assert value(code, case, GOLD + "\nprint(1)", **asked) == 0
    assert value(code, case, "def add(x, y):\n    return x + y") == 0
    assert value(code, case, "def add(a, b) return") == 0
    assert value(code, case, "# only a comment") == 0
    assert isinstance(code.score(row("def ("), Answer(case="0", text="x"), {}), Unscored)


@pytest.mark.parametrize(
    ("pattern", "text", "there"),
    [
        ("ListComp", "[x for x in y]", True),
        ("ListComp", "list(y)", False),
        ("import:os", "from os.path import join", True),
        ("import:os", "import oslo", False),
        ("call:os.remove", "import os\nos.remove('x')", True),
        ("bare_except", "try:\n    x\nexcept:\n    y", True),
        ("bare_except", "try:\n    x\nexcept ValueError:\n    y", False),
        ("snake_case", "def a_b():\n    LIMIT = 1\n    no = 2", True),
        ("snake_case", "def aB():\n    pass", False),
    ],
)
def test_patterns_of_code(pattern, text, there):
    found = value(code, row(text), text, forbid=(pattern,))
    assert found == (0 if there else 1)


def test_tests_run_only_where_they_are_allowed():
    case = row(GOLD, meta={"tests": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"]})
    wrong = GOLD.replace("a + b", "a - b")
    assert value(code, case, wrong) == 1  # nothing was run: only its form is known
    assert value(code, case, GOLD, run=True) == 1
    assert value(code, case, wrong, run=True) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "evil",
    [
        "while True: pass",
        "import os\nos._exit(0)",
        "open('FILE', 'w').write('x')",
        "import pathlib\npathlib.Path('FILE').write_text('x')",
        "import os\nos.system('touch FILE')",
        "import subprocess\nsubprocess.run(['touch', 'FILE'])",
        "import sys\nsys.exit()",
        "x = 'a' * 10**12",
    ],
)
def test_code_that_does_harm_is_stopped_and_scores_its_form_only(evil, tmp_path):
    file = tmp_path / "made"
    case = row(GOLD, meta={"tests": ["assert add(1, 2) == 3"]})
    text = f"{GOLD}\n{evil.replace('FILE', str(file))}"
    assert value(code, case, text, run=True, seconds=1) == 0.5
    assert not file.exists()


def sets(n=60):
    """Right answers of one voice, and those of another, about the same things."""
    rng = random.Random(4)
    names = ["kettle", "lamp", "rug", "mirror", "chair", "tent", "fan", "clock", "desk", "vase"]
    things = [rng.choice(names) for _ in range(n)]
    gold = [f"Lovely! Your {t} is {rng.choice(['on its way', 'being packed', 'at the depot'])}."
            for t in things]  # fmt: skip
    other = [f"Dear customer, we have processed the {t} of your order." for t in things]
    again = [f"Lovely! Your {t} is {rng.choice(['on its way', 'being packed', 'at the depot'])}."
             for t in things]  # fmt: skip
    return gold, other, again


def test_a_style_is_told_apart_and_the_same_style_is_not():
    gold, other, again = sets()
    assert separate(other, gold).auc > 0.99
    assert 0.3 < separate(again, gold).auc < 0.7
    assert 0.25 < separate_halves(gold).auc < 0.75
    assert separate(gold, gold).auc == 0.5
    assert separate_halves(gold[:19]) is None


def test_n14_style_match_is_the_share_of_its_formula():
    gold, other, again = sets()
    rows = [row(text, at) for at, text in enumerate(gold)]
    worth = {}
    for name, texts in (("other", other), ("again", again), ("gold", gold)):
        found = style.score_all(rows, [Answer(case=c.id, text=t) for c, t in zip(rows, texts)], {})  # noqa: B905
        worth[name] = sum(s.value for s in found) / 60
    assert worth["other"] < 0.25 < 0.75 < worth["again"] <= worth["gold"] == 1
    order = sorted(range(60), key=lambda i: style._id_hash(str(i)))
    shares = separate([other[i] for i in order], [gold[i] for i in order]).answers
    said = [Answer(case=c.id, text=t) for c, t in zip(rows, other, strict=True)]
    values = [s.value for s in style.score_all(rows, said, {})]
    assert values == [min(1, 2 * (1 - dict(zip(order, shares, strict=True))[i])) for i in range(60)]


def test_joined_names_give_the_least_and_see_the_set():
    gold = sets(20)[0]
    rows = [row(text, at, must_say=("Your",)) for at, text in enumerate(gold)]
    both = scorer(task("style_match+must_say"))
    assert both.by_set
    assert scores_by_set(task("style_match+must_say"))
    right = score_all(both, rows, [Answer(case=c.id, text=c.output) for c in rows])
    assert [s.value for s in right] == [1] * 20
    silent = [Answer(case=c.id, text=c.output.replace("Your", "The")) for c in rows]
    found = score_all(both, rows, silent)
    assert [s.value for s in found] == [0] * 20
    assert found[0].why.startswith("must_say: ")
    lost = score_all(both, rows, [*silent[:19], Answer(case="19", text="", error="no")])
    assert isinstance(lost[19], Unscored)
    assert "no answer" in lost[19].reason
    assert not scorer(task("must_say")).by_set


def test_a_set_that_crashes_scores_nothing(monkeypatch):
    def crash(*_):
        raise ZeroDivisionError("no")

    monkeypatch.setattr(style, "score_all", crash)
    found = score_all(scorer(task("style_match+exact")), [row()], [Answer(case="0", text="x")])
    assert "ZeroDivisionError" in found[0].reason


def test_python_is_valid_under_the_metric_code_only():
    assert (
        scorer(task("code+rouge_l"))(row(GOLD), Answer(case="0", text="no code )")).valid is False
    )
    assert scorer(task("code+rouge_l"))(row(GOLD), Answer(case="0", text=GOLD)).valid is True
    assert scorer(task("rouge_l"))(row(GOLD), Answer(case="0", text="no code )")).valid is True


def test_the_fingerprint_covers_options_and_every_part():
    one, other = task("code+rouge_l", forbid=["For"]), task("code+rouge_l", forbid=["While"])
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(task("code"))["source"] != fingerprint(one)["source"]
    assert "options" not in fingerprint(task("code"))
