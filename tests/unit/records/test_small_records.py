"""JSON for a terminal, a logged request, and the exit code of a run report."""

import json

import pytest

from tuneworthy.records.case import Case, LoggedRequest, Message
from tuneworthy.records.errors import error_chain
from tuneworthy.records.escape import json_for_terminal
from tuneworthy.records.evidence import Figure
from tuneworthy.records.failure import RunFacts
from tuneworthy.records.results import Results
from tuneworthy.records.run import Run
from tuneworthy.records.run_report import OwnRunReport


def test_json_for_a_terminal_holds_no_control_character_and_says_the_same():
    value = {"text": "a\u009bb\u202ec"}
    shown = json_for_terminal(json.dumps(value, ensure_ascii=False))
    assert shown.isascii()
    assert json.loads(shown) == value


def test_a_logged_request_knows_nothing_that_the_log_does_not_give():
    request = LoggedRequest(input="hello")
    assert request.seconds is None
    assert request.failed is False


@pytest.mark.parametrize(
    ("states", "code"), [((), 4), (("not measured",), 4), (("clean", "not measured"), 0),
                         (("explained", "not measured"), 0), (("clean", "found"), 3)],
)  # fmt: skip
def test_the_exit_code_of_a_training_folder(states, code):
    report = OwnRunReport(folder="out", trainer="TRL", facts=RunFacts())
    findings = tuple(type("F", (), {"state": state})() for state in states)
    assert report.model_copy(update={"findings": findings}).exit_code == code


def test_a_figure_is_told_as_a_share_with_its_bounds():
    figure = Figure(mean=0.25, low=0.127, high=0.412, says="too long", n=40)
    assert figure.text == "25 % of 40 answers (12.7 % to 41.2 %) are too long"


def test_a_chain_of_errors_follows_causes_and_contexts():
    first, second, third = ValueError("first"), KeyError("second"), OSError("third")
    third.__cause__, second.__context__ = second, first
    assert list(error_chain(third)) == [third, second, first]
    assert list(error_chain(None)) == []


def test_a_field_of_a_type_that_no_version_writes_is_refused():
    with pytest.raises(ValueError, match="type that no version"):
        Run.model_validate({"notes": True})


def test_two_cases_of_one_id_are_refused():
    case = Case(id="a", messages=(Message(role="user", content="x"),), output="y")
    with pytest.raises(ValueError, match="two cases have one id"):
        Results._check_ids((case, case))
    assert Results._check_ids((case,)) == (case,)
