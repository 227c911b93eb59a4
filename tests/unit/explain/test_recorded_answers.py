"""Of recorded answers alone no question and no cause says what nobody measured."""

import pytest
from tests import recorded

import tuneworthy

N = 120


def study(folder, fails=0.3, form=0.5, json_task=False, tools=None, present=True):
    made = recorded.rows(N, json_task)
    made[0]["output"] = made[0]["output"] if json_task else "rare"  # a class with one row
    systems = {"logged": recorded.failing(made, lambda at: 0.2, 0.0, seed=2),
               "tuned": recorded.failing(made, lambda at: 0.05, 0.0, seed=4)}  # fmt: skip
    if present:
        systems["present"] = recorded.failing(made, lambda at: fails, form)
    tools = {"logged": "prompt", "tuned": "tune"} if tools is None else tools
    return tuneworthy.run(recorded.write(folder, made, systems, tools)).results


def answers(results):
    return {found.name: (found.answer, found.because) for found in results.verdict.questions}


@pytest.mark.every(2)
@pytest.mark.parametrize("json_task", [False, True])
@pytest.mark.parametrize("present", [False, True])
def test_every_question_says_what_is_not_there(tmp_path, json_task, present):
    found = answers(study(tmp_path, json_task=json_task, present=present))
    measured = {name for name, (answer, _) in found.items() if answer != "not_measured"}
    assert measured <= {"evaluation", "simpler_tool", "capability"}, (
        "what recorded answers can settle"
    )
    assert "not known" in found["enough_data"][1]
    assert "one class has" not in found["enough_data"][1]
    assert "how it was found is not known" in found["prompt_exhausted"][1]
    assert "written by hand" not in found["prompt_exhausted"][1]
    assert "was not trained here" in found["harm"][1]
    assert "no documents" in found["knowledge_still"][1]


def test_without_a_tool_nothing_is_said_of_prompts_or_training(tmp_path):
    found = answers(study(tmp_path, tools={}))
    assert found.pop("evaluation")[0] == "yes"
    assert {answer for answer, _ in found.values()} == {"not_measured"}
    assert "no prompt was measured" in found["prompt_exhausted"][1]
    assert "it is not known what it learnt from" in found["enough_data"][1]
    assert "no tuned model was measured" in found["simpler_tool"][1]


def test_few_failures_have_no_cause_and_more_rows_are_not_asked_for(tmp_path):
    few = study(tmp_path / "few", fails=0.02, form=1.0)
    assert 0 < few.evidence.diagnosis.n_fail < 8
    assert few.verdict.wrong == ()
    assert "recorded answers" in few.verdict.missing["/wrong"]
    some = study(tmp_path / "some", fails=0.25, form=0.4)
    assert [row.cause for row in some.verdict.wrong] == ["few", "format", "untried"]
    (found,) = [q for q in some.verdict.questions if q.name == "behaviour_not_facts"]
    assert "no remedy that asks a model" in found.because
    assert "more rows" not in found.next
    assert "say it yourself from the failures" in found.next


def test_many_failures_of_form_have_that_cause_alone(tmp_path):
    many = study(tmp_path, fails=0.6, form=0.9)
    assert [row.cause for row in many.verdict.wrong] == ["format", "untried"]
    assert answers(many)["behaviour_not_facts"][0] == "not_measured"
