"""A log of served requests: forms mixed in one file, bad lines named, useless files refused."""

import gzip
import json

import pytest

from tuneworthy.handover import request_log
from tuneworthy.handover.request_log import read_log
from tuneworthy.records.errors import DataError, TaskError
from tuneworthy.records.plugins import load

PLAIN = {"input": "How long is exam leave?", "answer": "11 days"}


def written(tmp_path, *lines, name="live.jsonl"):
    path = tmp_path / name
    text = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(text) + b"\n")
    return path


def span(attributes, **more):
    return {"name": "chat", "attributes": attributes, **more}


def test_forms_may_be_mixed_and_lines_are_numbered(tmp_path):
    lines = [load("logs", name).EXAMPLE for name in ("served", "otlp", "spans")]
    log = read_log(written(tmp_path, PLAIN, *lines))
    assert [request.line for request in log.requests] == [1, 2, 3, 4]
    assert {request.input for request in log.requests} == {"How long is exam leave?"}
    assert (log.total, log.bad, log.other_spans) == (4, 0, 0)


def test_bad_lines_are_counted_and_named(tmp_path):
    bad = [b"{not json", b'{"input": "caf\xe9"}', b'{"input": "a\x00"}', b"[1]", b'{"who": 1}',
           b'{"input": 5}', b'{"input": "x", "seconds": -1}', b'{"input": "x", "time": "noon"}',
           b'{"input": "' + b"x" * 9_000_000 + b'"}', b'{"input": ' + b"[" * 300_000 + b"}",
           b'{"input": "x", "tokens": {"out": "many"}}']  # fmt: skip
    path = written(tmp_path, PLAIN, *bad, PLAIN)
    with pytest.raises(DataError, match="11 of 13 records can't be read"):
        read_log(path)
    log = read_log(path, most_unread=1)
    assert (log.total, log.bad) == (2, len(bad))
    assert [int(fault.where.split(":")[1]) for fault in log.faults] == list(range(2, 13))
    assert all(fault.why for fault in log.faults)
    assert [request.line for request in log.requests] == [1, 13]


def test_json_inside_a_text_may_be_nested_too_deep(tmp_path):
    deep = "[" * 900 + "]" * 900
    for text in (deep, f'[{{"role": "user", "content": {deep}}}]', "[" * 90_000):
        line = span({"gen_ai.prompt": text, "gen_ai.completion": "a"})
        log = read_log(written(tmp_path, line, PLAIN))
        assert log.total + log.bad == 2
        assert log.requests[-1].input == PLAIN["input"]


def test_measured_values_have_the_names_that_logs_give_them(tmp_path):
    lines = [{**PLAIN, "latency_ms": 250, "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
             {**PLAIN, "latency_ms": 250, "seconds": 0.5}]  # fmt: skip
    first, second = read_log(written(tmp_path, *lines)).requests
    assert (first.seconds, first.tokens_in, first.tokens_out) == (0.25, 9, 2)
    assert second.seconds == 0.5


def test_times_tokens_and_failures_of_plain_lines(tmp_path):
    lines = [
        {**PLAIN, "time": 1769846400, "tokens": 4},
        {**PLAIN, "time": 1769846400000, "tokens": {"in": 3, "out": 4}},
        {**PLAIN, "time": "2026-01-31T08:00:00", "tokens_in": 3, "output": "5 days"},
        {"input": "x", "answer": None},
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
         "answer": {"days": 5}},
        {"answer": "without an input"},
    ]  # fmt: skip
    one, two, three, four, five, six = read_log(written(tmp_path, *lines)).requests
    assert one.time == two.time == three.time == "2026-01-31T08:00:00+00:00"
    assert (one.tokens_out, one.tokens_in, two.tokens_in, three.tokens_in) == (4, None, 3, 3)
    assert (three.output, one.output) == ("5 days", None)
    assert (four.failed, three.failed) == (True, False)
    assert (five.input, five.answer) == ("q", '{"days": 5}')
    assert six.input is None


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.prompt": "q", "gen_ai.completion": "a"},
        {"gen_ai.prompt": '[{"role": "user", "content": "q"}]',
         "gen_ai.completion": '[{"role": "assistant", "content": "a"}]'},
        {"gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": "be short",
         "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": "q",
         "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": "a"},
        {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "q"},
                                                              {"type": "blob", "content": "z"}]}],
         "gen_ai.output.messages": [{"role": "assistant", "content": "a"}]},
    ],
)  # fmt: skip
def test_old_and_new_names_of_open_telemetry(tmp_path, attributes):
    usage = {"gen_ai.usage.prompt_tokens": 7, "gen_ai.usage.output_tokens": 2,
             "gen_ai.response.model": "m-2", "gen_ai.request.model": "m",
             "gen_ai.response.finish_reasons": ["stop"],
             "gen_ai.conversation.id": "c9"}  # fmt: skip
    (request,) = read_log(written(tmp_path, span({**attributes, **usage}))).requests
    assert (request.input, request.answer) == ("q", "a")
    assert (request.tokens_in, request.tokens_out) == (7, 2)
    assert (request.model, request.finish, request.group) == ("m-2", "stop", "c9")
    (bare,) = read_log(written(tmp_path, attributes)).requests
    assert (bare.input, bare.answer, bare.tokens_in) == ("q", "a", None)


@pytest.mark.parametrize(
    "events",
    [
        [("gen_ai.content.prompt", {"gen_ai.prompt": "q"}),
         ("gen_ai.content.completion", {"gen_ai.completion": "a"})],
        [("gen_ai.user.message", {"content": "q"}),
         ("gen_ai.choice", {"message": {"role": "assistant", "content": "a"}, "index": 0})],
        [("gen_ai.user.message", {"gen_ai.event.content": '{"role": "user", "content": "q"}'}),
         ("gen_ai.choice", {"gen_ai.event.content": '{"message": {"content": "a"}}'})],
    ],
)  # fmt: skip
def test_old_events_of_open_telemetry(tmp_path, events):
    made = [{"name": name, "attributes": fields} for name, fields in events]
    line = span({"gen_ai.system": "openai"}, events=made)
    (request,) = read_log(written(tmp_path, line)).requests
    assert (request.input, request.answer) == ("q", "a")


def record(name, body, span_id="s1"):
    value = {"kvlistValue": {"values": [
        {"key": key, "value": {"stringValue": text}} for key, text in body.items()]}}  # fmt: skip
    one = {"eventName": name, "spanId": span_id, "timeUnixNano": "1769846400000000000",
           "body": value, "attributes": []}  # fmt: skip
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": [one]}]}]}


def test_records_and_the_span_of_one_request_are_one_request(tmp_path):
    told = {"key": "gen_ai.request.model", "value": {"stringValue": "m"}}
    one = {"spanId": "s1", "startTimeUnixNano": 10**18, "endTimeUnixNano": 10**18 + 10**9,
           "attributes": [told]}  # fmt: skip
    timed = {"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}
    said = [record("gen_ai.user.message", {"content": "q"}),
            record("gen_ai.choice", {"message": '{"content": "a"}'}), timed]  # fmt: skip
    log = read_log(written(tmp_path, *said, record("gen_ai.user.message", {"content": "r"}, "s2")))
    assert log.total == 2
    one, two = log.requests
    assert (one.input, one.answer, one.model, one.seconds) == ("q", "a", "m", 1.0)
    assert (two.input, two.answer) == ("r", None)


def test_spans_that_asked_no_model_are_set_apart(tmp_path):
    tool = span({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get"})
    http = span({"http.request.method": "GET"})
    graded = record("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "tone"}, "s7")
    log = read_log(written(tmp_path, tool, http, graded, {"resourceMetrics": []}, PLAIN))
    assert (log.total, log.other_spans, log.bad) == (1, 4, 0)
    with pytest.raises(DataError, match="no request to a model") as told:
        read_log(written(tmp_path, tool, http))
    assert told.value.exit_code == 5


def test_a_log_without_inputs_says_how_to_capture_them(tmp_path):
    line = span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"})
    with pytest.raises(DataError, match="has its input") as told:
        read_log(written(tmp_path, line, line))
    assert "CAPTURE_MESSAGE_CONTENT" in told.value.fix
    assert read_log(written(tmp_path, line, PLAIN)).total == 2


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"\n \n", "no request"),
        (gzip.compress(b"{}", mtime=0), "gzip"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"\x7fELF\x02\x01\x01" + bytes(range(1, 256)) * 9, "no line of the log"),
        (b'[{"input": "x"}]', "JSON array"),
        (b"{not json\n{neither", "no line of the log"),
    ],
)
def test_a_useless_file_is_refused_with_5(tmp_path, content, what):
    path = tmp_path / "live.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=what) as told:
        read_log(path)
    assert told.value.exit_code == 5
    assert told.value.fix


def test_a_missing_log_is_a_usage_error(tmp_path):
    with pytest.raises(TaskError, match="no such log") as told:
        read_log(tmp_path / "gone.jsonl")
    assert told.value.exit_code == 2


def test_of_a_long_log_the_latest_requests_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(request_log, "MOST_KEPT", 3)
    lines = [{"input": f"q{at}"} for at in range(5)]
    log = read_log(written(tmp_path, *lines))
    assert log.total == 5
    assert [request.input for request in log.requests] == ["q2", "q3", "q4"]


def test_spans_of_two_traces_are_two_requests(tmp_path):
    texts = {"gen_ai.prompt": "a", "gen_ai.completion": "b"}
    ids = [{"trace_id": f"0x{n}", "span_id": "0x1"} for n in (1, 2, 2)]
    assert read_log(written(tmp_path, *(span(texts, context=one) for one in ids))).total == 2
