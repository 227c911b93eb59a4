"""The report of a build as plain data."""

from tuneworthy.records.artefact import Artefact, Pack
from tuneworthy.records.build_report import BuildReport
from tuneworthy.records.case import Case, Message


def test_a_build_report_tells_no_row_of_the_user():
    row = Case(id="1", messages=(Message(role="user", content="secret"),), output="answer")
    artefact = Artefact(
        id="abc", name="tickets", arm="few_shot", tool="prompt", made_by="test",
        pack=Pack(examples=(row,)), task={},
    )  # fmt: skip
    report = BuildReport(artefact=artefact, arm="few_shot", rows=1, seeds={0: None}, forms=())
    told = report.plain()
    assert "secret" in report.model_dump_json()
    assert "secret" not in str(told)
    assert told["artefact"]["arm"] == "few_shot"
