"""N14: every metric against a reference library or a brute-force recount, to 1e-9."""

import json
import math
import random
import re
import string
from collections import Counter
from decimal import Decimal
from itertools import permutations

import pytest
from sklearn.metrics import accuracy_score

from tuneworthy.metrics import accuracy, chrf, exact, fields_f1, number, rouge_l, token_f1
from tuneworthy.metrics._numbers import numbers
from tuneworthy.records.answer import Answer
from tuneworthy.records.case import Case

WORDS = [
    "the",
    "a",
    "an",
    "cat",
    "Cat",
    "dog,",
    "dog",
    "runs",
    "fast;",
    "it's",
    "12",
    "twelve",
    "e-mail",
    "U.S.",
    "Straße",
    "naïve",
    "<b>",
    "ok",
]
LABELS = ["yes", "no", "Maybe so", "n/a"]


def scored(metric, gold, said, accepted=(), **options):
    case = Case(id="c", messages=(), output=gold, accepted=tuple(accepted))
    return metric.score(case, Answer(case="c", text=said), options)


def value(*args, **more):
    return scored(*args, **more).value


def sentence(rng):
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 12)))


def ascii_sentence(rng):
    """A sentence of words that the rouge-score package reads whole."""
    return " ".join(rng.choices([word for word in WORDS if word.isascii()], k=rng.randint(1, 12)))


def squad_words(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def squad(gold, said):
    """Return the score by the published formula of SQuAD 2.0, as an independent check."""
    one, other = squad_words(gold), squad_words(said)
    if not one or not other:
        return float(one == other)
    same = sum((Counter(one) & Counter(other)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(other), same / len(one)
    return 2 * precision * recall / (precision + recall)


def test_n14_token_f1_is_squads_formula():
    rng, seen = random.Random(1), set()
    for _ in range(1000):
        golds, said = [sentence(rng) for _ in range(rng.randint(1, 3))], sentence(rng)
        if not all(map(squad_words, (*golds, said))):
            continue  # nothing but articles: there the scores differ, see below
        want = max(squad(gold, said) for gold in golds)
        assert value(token_f1, golds[0], said, golds[1:]) == pytest.approx(want, abs=1e-9)
        seen.add(round(want, 6))
    assert len(seen) > 30
    for gold, said in (
        ("the", "cat"),
        ("cat", "!!"),
        ("2024-05-01, 3-5 of 1,000", "20240501 35 of 1000."),
        ("a cat", "The cat."),
        ("x", "x"),
    ):
        assert value(token_f1, gold, said) == squad(gold, said)
    assert value(token_f1, "a cat sat", "cat") != pytest.approx(1 / 2)


def test_n14_chrf_is_sacrebleus():
    reference = pytest.importorskip("sacrebleu.metrics").CHRF()
    rng, seen = random.Random(4), set()
    pairs = [([sentence(rng) for _ in range(rng.randint(1, 3))], sentence(rng)) for _ in range(500)]
    texts = [
        (["Straße"], "Strasse"),
        (["東京は晴れ"], "東京は雨"),
        (["a b"], "ab"),
        (["x"], "y"),
        (["ab"], "a"),
    ]
    for golds, said in pairs + texts:
        want = max(reference.sentence_score(said, [gold]).score for gold in golds) / 100
        assert value(chrf, golds[0], said, golds[1:]) == pytest.approx(want, abs=1e-9)
        seen.add(round(want, 6))
    assert len(seen) > 30
    assert value(chrf, "a b", "AB") == 0, "case counts"
    assert "no letters" in scored(chrf, " ", "Привет").reason


def test_n14_rouge_l_is_the_rouge_score_package():
    rouge = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(
        ["rougeL"], use_stemmer=False
    )
    rng, seen = random.Random(2), set()
    for _ in range(1000):
        golds, said = [ascii_sentence(rng) for _ in range(rng.randint(1, 3))], ascii_sentence(rng)
        want = max(rouge.score(gold, said)["rougeL"].fmeasure for gold in golds)
        assert value(rouge_l, golds[0], said, golds[1:]) == pytest.approx(want, abs=1e-9)
        seen.add(round(want, 6))
    assert len(seen) > 30
    for gold, said in (("a b c d", "d c b a"), ("a a a", "a"), ("e-mail", "e mail")):
        want = rouge.score(gold, said)["rougeL"].fmeasure
        assert value(rouge_l, gold, said) == pytest.approx(want, abs=1e-9)
    assert value(rouge_l, "a b", "b a") != value(token_f1, "x b", "b x")  # order counts here
    assert "no letters" in scored(rouge_l, "???", "Привет").reason


def spelt(rng, label):
    return rng.choice([label, f" {label}\n", label.upper(), label.lower(), f"{label}."])


def test_n14_accuracy_is_scikit_learns_on_trimmed_folded_labels():
    rng, ours, gold_side, said_side = random.Random(3), [], [], []
    for _ in range(1000):
        gold, said = rng.choice(LABELS), spelt(rng, rng.choice(LABELS))
        ours.append(value(accuracy, gold, said, labels=LABELS))
        gold_side.append(gold.casefold())
        said_side.append(said.strip().casefold())
    want = accuracy_score(gold_side, said_side)
    assert sum(ours) / 1000 == pytest.approx(want, abs=1e-9)
    assert abs(sum(ours) / 1000 - accuracy_score(gold_side, said_side[::-1])) > 1e-3
    one_class = [value(accuracy, "yes", "YES") for _ in range(5)]
    assert sum(one_class) / 5 == accuracy_score(["yes"] * 5, ["yes"] * 5)


def test_accuracy_counts_no_label_inside_a_sentence_and_keeps_case_where_it_matters():
    assert value(accuracy, "yes", "The answer is yes", labels=LABELS) == 0
    assert value(accuracy, "yes", "yes", labels=LABELS) == 1
    assert value(accuracy, "US", "us", labels=["US", "us"]) == 0
    assert value(accuracy, "US", "us", labels=["US", "them"]) == 1
    assert value(accuracy, "US", "US", labels=["US", "us"]) == 1
    assert value(accuracy, "yes", "no", ["NO"], labels=LABELS) == 1
    assert scored(accuracy, "yes", " YES ", labels=LABELS).extracted == "yes"


def test_n14_exact_is_equality():
    rng = random.Random(4)
    for _ in range(1000):
        gold, said = sentence(rng)[:4], sentence(rng)[:4]
        assert value(exact, gold, said) == float(gold.strip() == said.strip())
    assert value(exact, "Yes", "yes") == 0
    assert value(exact, "x", "y", ["y "]) == 1


@pytest.mark.parametrize(
    ("gold", "said", "want"),
    [
        ('{"a": 1, "b": [1, 2]}', '{"b": [1, 2.0], "a": 1e0}', 1),
        ("[1, 2]", "[2, 1]", 0),
        ("1", "true", 0),
        ('{"a": null}', "{}", 0),
        ("0.1", "0.10", 1),
        ("{}", "[]", 0),
        ("1", '"1"', 0),
    ],
)
def test_exact_json_compares_values(gold, said, want):
    assert value(exact, gold, said, type="json") == want


def value_of(rng, depth=0):
    kind = rng.random()
    if depth < 3 and kind < 0.3:
        return {rng.choice("abcd"): value_of(rng, depth + 1) for _ in range(rng.randint(0, 3))}
    if depth < 3 and kind < 0.55:
        return [value_of(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    return rng.choice([0, 1, True, False, None, "x", "y", 1.5, "1", ""])


def leaf(value):
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"number {float(value)}"
    return json.dumps(value)


def slots(value, path=()):
    """Return a bag of (path, leaf), list elements numbered by their place."""
    if isinstance(value, dict) and value:
        return sum((slots(inner, (*path, key)) for key, inner in value.items()), Counter())
    if isinstance(value, list) and value:
        return sum((slots(inner, (*path, at)) for at, inner in enumerate(value)), Counter())
    return Counter([(path, leaf(value))])


def orders(value):
    """Return every value that differs by the order of its lists alone."""
    if isinstance(value, dict):
        found = [{}]
        for key, inner in value.items():
            found = [{**one, key: other} for one in found for other in orders(inner)]
        return found
    if isinstance(value, list):
        found = []
        for turn in permutations(value):
            rows = [[]]
            for inner in turn:
                rows = [[*one, other] for one in rows for other in orders(inner)]
            found += rows
        return found
    return [value]


def recount(gold, said):
    """The best F1 over every order of every list of both sides, leaves compared place by place."""
    mine, theirs = [[slots(v) for v in orders(side)] for side in (gold, said)]
    most = max((one & other).total() for one in mine for other in theirs)
    return 2 * most / (mine[0].total() + theirs[0].total())


def changed(rng, value):
    """The value with lists shuffled and about a fifth of its leaves replaced or dropped."""
    if isinstance(value, dict):
        return {k: changed(rng, v) for k, v in value.items() if rng.random() > 0.1}
    if isinstance(value, list):
        kept = [changed(rng, v) for v in value if rng.random() > 0.1]
        return rng.sample(kept, len(kept))
    return rng.choice([0, "x", None]) if rng.random() < 0.2 else value


def ways(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    product = math.factorial(len(value)) if isinstance(value, list) else 1
    return product * math.prod(map(ways, inner))


def test_n14_fields_f1_is_a_brute_force_recount():
    rng, seen, done = random.Random(5), Counter(), 0
    while done < 1000:
        gold = {key: value_of(rng) for key in "abc"}
        said = changed(rng, gold) if rng.random() < 0.8 else value_of(rng)
        if ways(gold) * ways(said) > 150:
            continue
        got = value(fields_f1, json.dumps(gold), json.dumps(said))
        assert got == pytest.approx(recount(gold, said), abs=1e-9), (gold, said)
        seen[round(got, 6)] += 1
        done += 1
    assert len(seen) > 30
    assert seen[1.0] < 400


def test_fields_f1_pairs_objects_in_lists_as_wholes():
    gold, swapped = [{"a": 1, "b": 2}, {"a": 3, "b": 4}], [{"a": 1, "b": 4}, {"a": 3, "b": 2}]
    flat = sum((Counter(one.items()) for one in gold), Counter())
    assert flat == sum((Counter(one.items()) for one in swapped), Counter())
    assert value(fields_f1, json.dumps(gold), json.dumps(swapped)) == 0.5
    assert value(fields_f1, json.dumps(gold), json.dumps(gold[::-1])) == 1


@pytest.mark.parametrize(
    ("gold", "said", "want", "why"),
    [
        ('{"a": 1, "b": 2}', '{"a": 1}', 2 / 3, "missing field b"),
        ('{"a": {"b": "x"}}', '{"a": {"b": "y"}}', 0, "wrong value at a.b: “y” instead of “x”"),
        ('{"a": 1}', '{"a": 1, "c": []}', 2 / 3, "unknown field c"),
        ('{"a": ["x", "y"]}', '{"a": ["y"]}', 2 / 3, "missing in a[]: “x”"),
        ('{"a": 1}', '{"a": true}', 0, "wrong value at a: true instead of 1"),
        ('{"a": {}}', '{"a": null}', 0, "wrong value at a: null instead of an empty object"),
        ('{"a": [{"n": 1}]}', '{"a": []}', 0, "1 elements missing in a[]"),
        ('{"a": 1}', '```json\n{"a": 1}\n```', 0, "not JSON"),
        ('{"a": 1}', '{"a": 1} extra', 0, "not JSON: extra data"),
        ('{"a": 1}', '{"a": 1, "a": 1}', 0, "a key stands twice"),
        ('{"a": 1}', '{"a": NaN}', 0, "NaN is no JSON number"),
        ('{"a": 1}', "[" * 100_000, 0, "nested too deep"),
        ('{"a": 1}', "[" * 100 + "]" * 100, 0, "nested deeper than 64"),
        ('{"a": 1}', '{"a": 1e99999999999999999999}', 0, ""),
        ("3", "3.0", 1, "every field is right"),
        ("{}", "{}", 1, "every field is right"),
    ],
)
def test_fields_f1_says_why(gold, said, want, why):
    found = scored(fields_f1, gold, said)
    assert found.value == pytest.approx(want)
    assert why in found.why


def test_fields_f1_takes_the_best_accepted_answer_and_needs_a_readable_one():
    assert value(fields_f1, '{"a": 1}', '{"a": 2}', ['{"a": 2}', "broken"]) == 1
    assert "not JSON" in scored(fields_f1, "broken", '{"a": 2}').reason


def written(rng, amount):
    """One of the ways to write a number: (text, whether a percent sign is in it)."""
    plain = f"{amount:f}"
    grouped = f"{amount:,f}"
    marked = rng.choice([plain, grouped, grouped.replace(",", "\u202f"), grouped.replace(",", "'")])
    return rng.choice(["", "The answer is ", "= $", "**", "1, 2 and 3 make\n#### "]) + marked


def test_n14_number_is_an_exact_recount():
    rng, right = random.Random(6), 0
    for _ in range(1000):
        digits = rng.choice([0, 0, 1, 2, 5])
        gold = Decimal(rng.randint(-(10**7), 10**7)).scaleb(-digits)
        said = rng.choice([gold, -gold, gold + Decimal(1).scaleb(-digits - 3), gold * 10])
        texts = written(rng, gold), written(rng, said)
        got = value(number, *(text + rng.choice(["", ".", " apples"]) for text in texts))
        assert got == float(gold == said), texts
        right += gold == said
    assert 200 < right < 600
    assert value(number, "0.1", "0.10000000000000001") == 0  # floats would call them equal
    assert float("0.1") == float("0.10000000000000001")


@pytest.mark.parametrize(
    ("gold", "said", "want"),
    [
        ("#### 20", "3 and 4, so 20", 1),
        ("5 #### 20", "20 #### 5", 0),
        ("1,000", "1000.0", 1),
        ("50%", "50", 1),
        ("50%", "0.5", 1),
        ("0.5", "50 %", 1),
        ("50%", "0.5%", 0),
        ("50", "5", 0),
        ("3/4", "0.75", 1),
        ("1/3", "0.333", 0),
        ("-5", "−5", 1),
        ("5", "-5", 0),
        ("$-5", "-$5", 1),
        ("1.234,5", "1234.5", 1),
        ("1.234,5", "9.234,5", 0),
        ("0,001", "0.001", 1),
        ("1", "A1", 0),
        ("5", "x-5", 1),
        ("1e3", "1000", 1),
        ("7", "seven", 0),
        ("1", "1e99999999999", 0),
        ("1", "1" * 100_000, 0),
        ("3", "1/0", 0),
        ("2", "1 or 2 or 3", 0),
        ("1 234", "5 234", 0),
        ("1 234", "1234", 1),
        ("1 234,50 €", "It is 1\u202f234,50.", 1),
        ("234", "1 234", 0),
        ("200", "2024 100 200", 1),
        ("5", "–5", 0),
        ("-5", "–5", 1),
        ("$–5", "-$5", 1),
        ("7", "3–7", 1),
    ],
)
def test_number_edges(gold, said, want):
    assert value(number, gold, said) == want


@pytest.mark.parametrize(
    "text",
    ["1,2,3", "1/2/2024", "1.2.3", "10:30", "3-5", "1..5", "12,3456",
     "2024 100", "0 100", "1\n234", "1 23", "1 100/200", "3.5 100"],
)  # fmt: skip
def test_what_can_be_read_in_two_ways_is_several_numbers(text):
    assert len(numbers(text)) > 1


def test_a_gold_without_a_number_is_not_scored():
    assert "no number" in scored(number, "none", "3").reason


def test_a_gold_with_several_numbers_is_scored_only_if_it_marks_one():
    assert "several numbers" in scored(number, "3 or 4", "4").reason
    assert value(number, "3 or 4", "5", ["5"]) == 1
    assert value(number, "3 + 4 = 7\n#### 7", "7") == 1
