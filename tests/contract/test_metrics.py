"""Every metric: per case, 0 to 1, gold near 1, permuted gold lower, empty never scores."""

from typing import get_args

import pytest

from tuneworthy.records import plugins
from tuneworthy.records.answer import Answer, Score, Unscored
from tuneworthy.records.case import Case, Message
from tuneworthy.records.task import OutputType

TEXTS = [
    "The cat sat on the mat.",
    "Rain is expected in Oslo tomorrow.",
    "No refund is possible.",
    "Please restart the blue router first.",
    "Seven apples and two pears.",
]
LABELS = ["billing", "technical", "not a complaint", "Other", "cancel"]
JSONS = [
    '{"name": "Ann", "items": [{"n": 1, "what": "pen"}], "ok": true}',
    '{"name": "Bob", "items": [], "ok": false}',
    '{"name": null, "items": [{"n": 2, "what": "cup"}, {"n": 3, "what": "pot"}], "ok": null}',
    '{"name": "Eve", "items": [{"n": 1.5, "what": "tea"}], "ok": 1, "x": {}}',
]
REPORTS = [
    "# Summary\nSales rose by four.\n# Risks\nThe lease ends.",
    "Findings:\nall is well here\nOpen points:\nnone that we know of today",
    "**Who**\nAnn and Bob\n**When**\non Friday at noon\n**Where**\nin the hall",
    "AGENDA\nthe budget\nMINUTES\nread and agreed\nVOTES\nfive to two",
    "1. Aim\n===\nfewer tickets\n2. Way\n===\nask people first",
]
CODES = [
    "def add(a, b):\n    return a + b",
    "def greet(name):\n    return f'hello {name}'",
    "class Box:\n    size = 3",
    "def mean(values):\n    return sum(values) / len(values)",
    "async def fetch(url, *, tries=3):\n    return url",
]
NUMBERS = ["4", "so 3 + 4 = 7\n#### 7", "1,250.50", "-12 %", "0.001"]
PLAIN = {"text": TEXTS, "label": LABELS, "json": JSONS, "number": NUMBERS}
ROWS = {**PLAIN, "report": REPORTS, "python": CODES}
FITS = {"fields_f1": ["json"], "number": ["number"], "accuracy": ["label"], "exact": list(PLAIN),
        "outline": ["report"], "code": ["python"], "valid": ["json"]}  # fmt: skip
READS_NO_GOLD = {"must_say"}  # it reads the demands of the row, so `accepted` is nothing to it
METRICS = sorted(plugins.catalogue("metrics"))
OF_RIGHT = [name for name in METRICS if name != "valid"]  # which says nothing of what is right
EDGES = [
    "",
    " ",
    "\n",
    "null",
    "{",
    "[[[[",
    "\x00",
    "é" * 50,
    "1" * 5000,
    '{"a": NaN}',
    "####",
    "a the an",
    "…",
    "[" * 5000,
    "😀",
    "1e999999999",
    "-",
    "/",
    "1/0",
    ",",
    "%",
    "{}",
    "[]",
]


def cases(kind):
    user = (Message(role="user", content="question"),)
    return [
        Case(id=str(i), messages=user, output=out, must_say=(out.split()[-1],))
        for i, out in enumerate(ROWS[kind])
    ]


def options(kind):
    return {
        "type": kind if kind in PLAIN else "text",
        "labels": tuple(LABELS) if kind == "label" else None,
        "schema": None,
    }


def run(metric, case, text, kind):
    module = plugins.load("metrics", metric)
    return module.score(case, Answer(case=case.id, text=text), options(kind))


def kinds(metric):
    return FITS.get(metric, ["text"])


@pytest.mark.parametrize(("metric", "kind"), [(m, k) for m in OF_RIGHT for k in kinds(m)])
def test_gold_is_right_and_permuted_gold_is_not(metric, kind):
    rows = cases(kind)
    for case in rows:
        found = run(metric, case, case.output, kind)
        assert isinstance(found, Score)
        assert found.value >= 0.99
        assert found.why
    turned = [
        run(metric, c, o.output, kind) for c, o in zip(rows, rows[1:] + rows[:1], strict=True)
    ]
    assert sum(s.value for s in turned) / len(turned) < 0.6
    if metric in READS_NO_GOLD:
        return
    accepted = [
        c.model_copy(update={"accepted": (o.output,)})
        for c, o in zip(rows, rows[1:] + rows[:1], strict=True)
    ]
    assert all(run(metric, c, c.accepted[0], kind).value >= 0.99 for c in accepted)


@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_answer_never_scores_and_nothing_crashes(metric):
    for kind in ROWS:
        for case in cases(kind):
            for text in ("", "  \n"):
                found = run(metric, case, text, kind)
                assert isinstance(found, Unscored) or found.value == 0
            for text in EDGES:
                found = run(metric, case, text, kind)
                assert isinstance(found, Unscored) or 0 <= found.value <= 1
                assert found.model_dump_json()
        for gold in EDGES:
            case = cases(kind)[0].model_copy(update={"output": gold})
            for text in EDGES:
                found = run(metric, case, text, kind)
                assert isinstance(found, Unscored) or 0 <= found.value <= 1


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_per_case_and_says_what_it_is(metric):
    kind = kinds(metric)[0]
    rows = cases(kind)
    alone = [run(metric, c, rows[0].output, kind) for c in rows]
    assert alone[::-1] == [run(metric, c, rows[0].output, kind) for c in rows[::-1]]
    assert len(plugins.catalogue("metrics")[metric]) > 20


@pytest.mark.parametrize("metric", METRICS)
def test_what_a_metric_declares_holds(metric):
    module = plugins.load("metrics", metric)
    assert getattr(module, "TYPE", "text") in get_args(OutputType)
    found = [run(metric, case, text, kind) for kind in kinds(metric) for case in cases(kind)
             for text in (*EDGES, *ROWS[kind])]  # fmt: skip
    between = [one for one in found if isinstance(one, Score) and 0 < one.value < 1]
    assert not (getattr(module, "BINARY", False) and between)


SETS = [m for m in METRICS if hasattr(plugins.load("metrics", m), "score_all")]


@pytest.mark.parametrize("metric", SETS)
def test_a_metric_of_sets_gives_one_score_a_case_in_any_order(metric):
    module, user = plugins.load("metrics", metric), (Message(role="user", content="q"),)
    rows = [Case(id=str(i), messages=user, output=f"{TEXTS[i % 5]} {i}") for i in range(20)]
    said = [Answer(case=c.id, text=c.output.upper() if i % 3 else "") for i, c in enumerate(rows)]
    found = module.score_all(rows, said, options("text"))
    assert all(isinstance(s, Score) and 0 <= s.value <= 1 for s in found)
    assert all(s.value == 0 for s, a in zip(found, said, strict=True) if not a.text)
    assert module.score_all(rows[::-1], said[::-1], options("text"))[::-1] == found
    gold = [Answer(case=c.id, text=c.output) for c in rows]
    right = module.score_all(rows, gold, options("text"))
    assert sum(s.value for s in right) / 20 >= 0.99 > sum(s.value for s in found) / 20
    few = module.score_all(rows[:3], gold[:3], options("text"))
    assert [isinstance(s, Unscored) and s.reason != "" for s in few] == [True] * 3
