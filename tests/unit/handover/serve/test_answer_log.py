"""The log of served answers: its lines, its share, its rotation, and what must not be in it."""

import json
import stat

from serve_kit import TOKEN, post, says, served

from tuneworthy.handover.serve.answer_log import AnswerLog
from tuneworthy.handover.serve.service import RequestCounters
from tuneworthy.models.scripted import open_scripted
from tuneworthy.records.answer import Answer

KEY = "sk-abcdefghijklmnopqrstuvwx"


def test_a_served_answer_is_one_line_without_keys(tmp_path):
    log = AnswerLog(tmp_path / "logs" / "r.jsonl", 1.0, 1 << 20)
    with served({"scripted:echo": open_scripted("echo", None)}, log=log) as (address, _):
        post(address, says(f"my key is {KEY} ok"))
        post(address, says("two words", n=2))
    lines = [json.loads(line) for line in (tmp_path / "logs" / "r.jsonl").read_text().splitlines()]
    assert [line["input"] for line in lines] == ["my key is [key] ok", "two words", "two words"]
    first = lines[0]
    assert set(first) == {"time", "model", "input", "answer", "tokens", "seconds", "valid"}
    assert (first["model"], first["tokens"]) == ("scripted:echo", {"in": 5, "out": 5})
    assert first["seconds"] > 0
    text = (tmp_path / "logs" / "r.jsonl").read_text()
    assert KEY not in text
    assert TOKEN not in text
    assert stat.S_IMODE((tmp_path / "logs" / "r.jsonl").stat().st_mode) == 0o600


def test_the_share_and_the_rotation(tmp_path):
    log, answer = (
        AnswerLog(tmp_path / "r.jsonl", 0.25, 4096, kept=2),
        Answer(case="", text="a" * 40),
    )
    log._draw.seed(1)
    for _ in range(400):
        log.add("m", "i", answer, 0.1, True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["r.jsonl", "r.jsonl.1", "r.jsonl.2"]
    assert all(path.stat().st_size <= 4096 for path in tmp_path.iterdir())
    kept = sum(len(path.read_text().splitlines()) for path in tmp_path.iterdir())
    assert 40 < kept < 130
    none = AnswerLog(tmp_path / "none.jsonl", 0.0, 4096)
    none.add("m", "i", answer, 0.1, None)
    assert (tmp_path / "none.jsonl").read_text() == ""


def test_a_full_disk_loses_lines_and_says_how_many(tmp_path, monkeypatch):
    log = AnswerLog(tmp_path / "r.jsonl", 1.0, 4096)

    def full():
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(log, "_open", full)
    log.add("m", "i", Answer(case="", text="a"), 0.1, None)
    assert log.lost == 1


def test_a_private_key_is_cut_out_whole():
    from tuneworthy.records.redaction import without_keys

    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc\n-----END RSA PRIVATE KEY-----"
    assert without_keys(f"a {key} b") == "a [key] b"
    assert without_keys(f"a {key[:50]}") == "a [key]"
    assert without_keys("nothing to cut") == "nothing to cut"


def test_counters_are_prometheus_text():
    counters = RequestCounters()
    assert counters.mean_seconds is None
    counters.count_answered('a"b', {"prompt": 3, "answer": None}, 0.3)
    counters.count_answered('a"b', {"prompt": 2, "answer": 4}, 70.0)
    counters.count_refused("", 404)
    text = counters.prometheus_text(in_flight=2, lost=0).decode()
    label = 'model="a\\"b"'
    assert f'tuneworthy_tokens_total{{kind="prompt",{label}}} 5.0' in text
    assert f'tuneworthy_request_seconds_bucket{{le="0.5",{label}}} 1.0' in text
    assert f'tuneworthy_request_seconds_bucket{{le="60.0",{label}}} 1.0' in text
    assert f'tuneworthy_request_seconds_bucket{{le="+Inf",{label}}} 2.0' in text
    assert f"tuneworthy_request_seconds_count{{{label}}} 2.0" in text
    assert 'tuneworthy_requests_total{model="",status="404"} 1.0' in text
    assert "tuneworthy_in_flight 2.0" in text
    assert "_created" not in text
    assert round(counters.mean_seconds, 2) == 35.15
