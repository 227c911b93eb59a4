"""recall_at_k and ndcg: lists of ids as JSON or lines, equal to scikit-learn where it has them."""

import json
import random

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from tuneworthy.metrics import ndcg, recall_at_k
from tuneworthy.records.answer import Answer, Unscored
from tuneworthy.records.case import Case, Message


def scored(metric, gold, said, **options):
    case = Case(id="c", messages=(Message(role="user", content="q"),), output=gold)
    return metric.score(case, Answer(case="c", text=said), options)


def test_ndcg_is_that_of_scikit_learn():
    rng = random.Random(0)
    for _ in range(300):
        ids = [f"d{k}" for k in range(rng.randint(2, 20))]
        right = rng.sample(ids, rng.randint(1, len(ids)))
        said = rng.sample(ids, len(ids))
        k = rng.randint(1, 12)
        relevance = np.array([[float(i in right) for i in ids]])
        order = np.array([[float(-said.index(i)) for i in ids]])
        want = ndcg_score(relevance, order, k=k)
        found = scored(ndcg, json.dumps(right), json.dumps(said), k=k)
        assert found.value == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize(("gold", "said", "k", "value"), [
    ('["a", "b"]', '["b", "x", "a"]', 2, 0.5),
    ('["a", "b"]', "b, x\na", 3, 1.0),
    ('["a", "b", "c"]', '["a"]', 1, 1.0),  # a list of one can hold only one
    ("a", "x\ny", 10, 0.0),
    ("[7]", "7", 1, 1.0),
    ('["a"]', "[a, b", 1, 0.0),  # no JSON, no ids
    ('["a", "b"]', '["a", "a", "b"]', 2, 1.0),  # an id counts once
    ("a", "", 5, 0.0),
])  # fmt: skip
def test_recall_counts_the_relevant_ids_among_the_first(gold, said, k, value):
    assert scored(recall_at_k, gold, said, k=k).value == value


@pytest.mark.parametrize("metric", [recall_at_k, ndcg])
def test_a_case_without_relevant_ids_has_no_score_and_a_wrong_k_is_named(metric):
    assert isinstance(scored(metric, "[]", "a"), Unscored)
    for k in (0, -1, "3", True, 1.5):
        with pytest.raises(ValueError, match="k must be a whole number"):
            scored(metric, "a", "a", k=k)
