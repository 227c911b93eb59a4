"""From `build` to HTTP: every built arm, opened by the command, answers as its artefact does."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from serve_kit import post, says
from test_serve_command import Running
from tests import studies

from tuneworthy.flows import study
from tuneworthy.handover.building import BuildOptions, build
from tuneworthy.handover.serve.served_versions import versions_in
from tuneworthy.handover.system import open_artefact
from tuneworthy.records.case import Message, Query

CASCADE = "cascade(least=0.6)"
ARMS = ["present", "majority", "tfidf", "zero_shot", "few_shot", "nearest_shots", "constrained",
        {"cascade": {"least": 0.6}}]  # fmt: skip
TEXTS = [row["input"] for row in studies.rows(12, seed=5)]


@pytest.mark.full
def test_p17_built_arms_answer_over_http_as_they_were_built(tmp_path):
    pytest.importorskip("skops")
    task = studies.write(tmp_path, 60, arms=ARMS)
    study.run(task)
    for arm in [*ARMS[2:-1], CASCADE]:
        build(task, options=BuildOptions(arm=arm))
    found = versions_in(tmp_path / "build")
    assert len(found) == 6
    asked = [Query(id=f"q{n}", messages=(Message(role="user", content=text),))
             for n, text in enumerate(TEXTS)]  # fmt: skip
    running = Running(tmp_path, "--log", "log.jsonl", "--log-share", "1")
    try:
        assert f"→ {found[-1].name}" in running.text, "the plain name is the last build"
        for version in found:
            truth = [answer.text for answer in open_artefact(version.folder).answer(asked)]
            with ThreadPoolExecutor(12) as pool:
                replies = list(pool.map(
                    lambda text, name=version.name: post(
                        running.address, says(text, name), running.token),
                    TEXTS))  # fmt: skip
            assert [r["choices"][0]["message"]["content"] for _, r, _ in replies] == truth
            none = version.artefact.model == ""
            if version.artefact.arm == CASCADE:  # its first part asks no model
                assert any(r["usage"]["total_tokens"] == 0 for _, r, _ in replies)
                assert "probability" in replies[0][1]["choices"][0]["tuneworthy"]
                continue
            assert (replies[0][1]["usage"]["total_tokens"] == 0) == none
        base = post(running.address, says("parcel", "scripted:./replies.jsonl"), running.token)
        assert base[1]["choices"][0]["message"]["content"] == "delivery"
    finally:
        assert running.stop() == 143
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert len(lines) == 12 * 6 + 1
    assert sum('"valid": true' in line for line in lines) > 40
    assert os.stat(tmp_path / "log.jsonl").st_mode & 0o77 == 0
