"""Results are written and read back run by run: the same bytes, and no second copy in memory."""

import json
import tracemalloc

import pytest
from tests import studies

from tuneworthy.flows.study import run
from tuneworthy.records.answer import Answer, Score
from tuneworthy.records.record import canonical
from tuneworthy.records.results import Results, as_read_back, canonical_pieces, json_pieces
from tuneworthy.records.run import RunOptions


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    return run(studies.write(folder, n=12, arms=studies.LIGHT), RunOptions(brief=True)).results


def test_the_pieces_are_the_text_of_the_whole(results):
    assert "".join(json_pieces(results)) == results.model_dump_json(by_alias=True)
    assert "".join(canonical_pieces(results)) == canonical(results, ascii_only=True)
    empty = results.model_copy(update={"runs": ()})
    assert "".join(json_pieces(empty)) == empty.model_dump_json(by_alias=True)
    assert "".join(canonical_pieces(empty)) == canonical(empty, ascii_only=True)


def as_stored(results):
    return Results.model_validate(json.loads(canonical(results)))


def test_answers_that_the_store_does_not_change_stay_the_same_objects(results):
    read = as_read_back(results)
    assert read == results
    assert read.model_dump_json() == as_stored(results).model_dump_json()
    for now, before in zip(read.runs, results.runs, strict=True):
        assert now.answers is before.answers
        assert now.scores is before.scores


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_what_the_store_changes_is_read_back(results):
    first, *others = results.runs
    sure = [answer.model_copy(update={"labels": {"b": 0.5, "a": 0.5}}) for answer in first.answers]
    for answers in (list(first.answers), tuple(sure)):
        changes = {"answers": answers, "fit_seconds": 1, "trace": {"b": 1, "a": 2}}
        changed = first.model_copy(update=changes)
        mixed = results.model_copy(
            update={"runs": (changed, *others), "reproduce": {"b": 1, "a": 2}}
        )
        read = as_read_back(mixed)
        assert read == as_stored(mixed)
        assert read.model_dump_json() == as_stored(mixed).model_dump_json()
        assert type(read.runs[0].answers) is tuple
        assert type(read.runs[0].fit_seconds) is float
        assert list(read.runs[0].trace) == list(read.reproduce) == ["a", "b"]
        assert read.runs[1].answers is others[0].answers


def test_many_runs_take_little_more_memory_than_one(results):
    answers = tuple(Answer(case=f"c{i}", text=f"answer {i}", seconds=0.1) for i in range(300))
    scores = tuple(Score(value=1.0, extracted=f"answer {i}") for i in range(300))
    one = results.runs[0].model_copy(update={"answers": answers, "scores": scores})
    peaks = []
    for count in (1, 16):
        many = results.model_copy(update={"runs": (one,) * count})
        tracemalloc.start()
        for made in (json_pieces(many), canonical_pieces(many)):
            assert all(made)
        as_read_back(many)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
