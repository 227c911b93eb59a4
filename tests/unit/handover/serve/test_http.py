"""The HTTP interface on scripted models: the OpenAI client, plain JSON, errors, limits, clients."""

import json
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import openai
import pytest
from serve_kit import (
    TOKEN,
    Classifier,
    Gate,
    Prompted,
    artefact,
    get,
    left,
    post,
    raw,
    says,
    served,
    waits,
)

from tuneworthy.handover.serve import request_body, stoppable_server
from tuneworthy.models.scripted import Scripted, open_scripted
from tuneworthy.records.artefact import Pack
from tuneworthy.records.errors import ProviderError

ECHO = {"scripted:echo": open_scripted("echo", None)}


def client(address, token=TOKEN):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=token, max_retries=0, timeout=30)


@pytest.fixture(scope="module")
def echo():
    with served(ECHO) as (address, _):
        yield address


def test_the_openai_client_gets_an_answer_and_its_tokens(echo):
    reply = client(echo).chat.completions.create(**says("three words here"))
    assert reply.choices[0].message.content == "three words here"
    assert reply.choices[0].finish_reason == "stop"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 3)
    assert reply.model == "scripted:echo"
    assert [one.id for one in client(echo).models.list()] == ["scripted:echo"]
    assert client(echo).models.retrieve("scripted:echo").owned_by == "tuneworthy"


def test_a_stream_holds_the_same_text_and_ends_with_its_usage(echo):
    more = {"stream": True, "stream_options": {"include_usage": True}}
    parts = list(client(echo).chat.completions.create(**says("a stream of words", **more)))
    assert "".join(p.choices[0].delta.content or "" for p in parts if p.choices) == (
        "a stream of words"
    )
    assert parts[-1].choices == []
    assert parts[-1].usage.total_tokens == 8
    assert [p.choices[0].finish_reason for p in parts if p.choices][-1] == "stop"
    assert len({part.id for part in parts}) == 1
    without = list(client(echo).chat.completions.create(**says("a", stream=True)))
    assert all(part.usage is None for part in without)


def test_a_cut_answer_says_so(echo):
    reply = client(echo).chat.completions.create(**says("one two three", max_tokens=2))
    assert reply.choices[0].finish_reason == "length"
    assert reply.choices[0].message.content == "one two"


def test_a_request_as_litellm_sends_it(echo):
    body = says("hello there", temperature=0, user="u-1", metadata={"a": "b"}, stream=False,
                n=1, frequency_penalty=0, presence_penalty=0.0, logit_bias={})  # fmt: skip
    body["messages"].insert(0, {"role": "system", "content": [{"type": "text", "text": "Be."}]})
    status, reply, _ = post(echo, body)
    assert status == 200
    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["message"]["content"] == "hello there"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_streams_events_up_to_done(echo):
    command = ["curl", "-sN", f"{echo}/v1/chat/completions", "-H", f"Authorization: Bearer {TOKEN}",
               "-H", "Content-Type: application/json", "-d",
               json.dumps(says("hi there", stream=True))]  # fmt: skip
    out = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    lines = [line for line in out.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    parts = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert "".join(p["choices"][0]["delta"].get("content", "") for p in parts) == "hi there"


def test_our_own_client_of_endpoints_can_ask_it(echo, monkeypatch):
    from tuneworthy.models import open_model
    from tuneworthy.records.case import Message
    from tuneworthy.records.model import Grammar, Limits

    monkeypatch.setenv("OPENAI_BASE_URL", f"{echo}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    prompts = [(Message(role="user", content=f"words of case {k}"),) for k in range(20)]
    held = Grammar(kind="json", value={"type": "object", "additionalProperties": False})
    for name in ("scripted:echo", "qwen3"):  # the second name makes it send a switch for thinking
        model = open_model(f"openai:{name}@{echo}/v1", folder=Path())
        if name == "qwen3":
            with pytest.raises(ProviderError, match="does not exist"):
                model.reply(prompts[:1], Limits(max_tokens=20))
            continue
        for limits in (Limits(max_tokens=20), Limits(max_tokens=20, stop=("x",), grammar=held)):
            replies = model.reply(prompts, limits)
            assert [r.text for r in replies] == [f"words of case {k}" for k in range(20)]
            assert {r.tokens_out for r in replies} == {4}


def test_wrong_keys_and_unknown_models_get_openais_errors(echo):
    with pytest.raises(openai.AuthenticationError) as wrong:
        client(echo, "another").chat.completions.create(**says("a"))
    assert wrong.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as missing:
        client(echo).chat.completions.create(**says("a", model="gpt-9"))
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        client(echo).chat.completions.create(**says("a", temperature=9))
    assert bad.value.param == "temperature"
    for path in ("/v1/models", "/metrics"):
        assert get(echo, path, token=None)[0] == 401
    assert get(echo, "/health", token=None) == (200, '{"status":"ok"}')
    assert get(echo, "/nowhere")[0] == 404
    assert json.loads(get(echo, "/v1/chat/completions")[1])["error"]["code"] == "unknown_url"


def test_bodies_that_are_no_request_are_refused(echo):
    cases = {
        b"": 400, b"[]": 400, b"{": 400, b'{"model": "\xff"}': 400, b"[" * 100_000: 400,
        b'{"model": "scripted:echo", "messages": [], "n": NaN}': 400,
        "{}".encode("utf-16"): 400, b"x" * 2_000_000: 413,
    }  # fmt: skip
    for body, status in cases.items():
        assert post(echo, body)[0] == status, body[:40]
    assert post(echo, says("a"), **{"content-type": "text/plain"})[0] == 415
    # a web page that resolves its own name to this machine has a host of its own
    assert post(echo, says("a"), host="evil.example")[0] == 400


def test_a_body_that_lies_about_its_length_is_cut_off(echo):
    name, _, port = echo.removeprefix("http://").partition(":")
    with socket.create_connection((name, int(port)), timeout=20) as opened:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {name}\r\n"
            f"authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n"
            "transfer-encoding: chunked\r\n\r\n"
        )
        opened.sendall(head.encode())
        piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        try:
            for _ in range(40):
                opened.sendall(piece)
        except OSError:
            pass  # refused in the middle
        assert b" 413 " in opened.recv(200)


def opened_to(address):
    name, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((name, int(port)), timeout=20)


@pytest.mark.parametrize(("token", "status"), [("wrong", b" 401 "), (TOKEN, b" 413 ")])
def test_a_body_is_not_read_on_after_its_refusal(token, status, monkeypatch):
    monkeypatch.setattr(stoppable_server, "DISCARD_SECONDS", 0.3)
    with served(ECHO) as (address, _), opened_to(address) as opened:
        opened.sendall(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            f"authorization: Bearer {token}\r\n"
            "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        sent, replied = 0, b""
        opened.settimeout(0.01)
        try:
            while sent < 64 << 20:
                sent += opened.send(b"4000\r\n" + b"x" * 16_384 + b"\r\n")
                with suppress(TimeoutError):
                    replied += b"" if status in replied else opened.recv(200)
        except OSError:
            pass
        assert sent < 64 << 20
        assert status in replied
        assert get(address, "/health", token=None)[0] == 200


def test_half_sent_headers_end_and_take_no_place(monkeypatch):
    monkeypatch.setattr(stoppable_server, "LIMIT_SECONDS", 0.8)
    with served(ECHO, connections=20) as (address, _):
        socks = [opened_to(address) for _ in range(60)]
        for sock in socks:
            sock.sendall(b"GET /health HT")
        assert get(address, "/health", token=None) == (200, '{"status":"ok"}')
        assert post(address, says("a"))[0] == 200
        for sock in socks:  # all are closed at the end of their time
            with suppress(ConnectionResetError):
                assert sock.recv(10) == b""
            sock.close()


def test_a_kept_connection_outlives_a_body_that_ends_after_its_refusal(monkeypatch):
    monkeypatch.setattr(stoppable_server, "DISCARD_SECONDS", 0.3)
    with served(ECHO) as (address, _), opened_to(address) as opened:
        head = (b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer x"
                b"\r\ncontent-type: application/json\r\ncontent-length: 4\r\n\r\n")  # fmt: skip
        opened.sendall(head)
        answer = b""
        while b"invalid_api_key" not in answer:  # head and body may come apart
            answer += opened.recv(2000)
        assert b" 401 " in answer
        opened.sendall(b"{}  ")
        time.sleep(0.5)
        opened.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b" 200 " in opened.recv(2000)


def test_a_body_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr(request_body, "BODY_SECONDS", 0.3)
    with served(ECHO) as (address, _):
        name, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((name, int(port)), timeout=20) as opened:
            opened.sendall(
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: {name}\r\n"
                f"authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n"
                'content-length: 100\r\n\r\n{"model":'.encode()
            )
            assert b" 408 " in opened.recv(200)
        assert post(address, says("a"))[0] == 200


def test_64_requests_in_flight_get_their_own_answers():
    with served(ECHO) as (address, _), ThreadPoolExecutor(64) as pool:
        texts = [f"message number {k}" for k in range(200)]
        replies = list(pool.map(lambda text: post(address, says(text)), texts))
        assert [r["choices"][0]["message"]["content"] for _, r, _ in replies] == texts
        metrics = get(address, "/metrics")[1]
        assert 'requests_total{model="scripted:echo",status="200"} 200' in metrics
        assert 'tokens_total{kind="answer",model="scripted:echo"} 600' in metrics
        assert "tuneworthy_in_flight 0" in metrics
        assert TOKEN not in metrics


def test_a_full_queue_says_when_to_come_again():
    gate = Gate()
    with served({"gate": gate.model}, most=3) as (address, service):
        worker = service.models.workers[0]
        with ThreadPoolExecutor(3) as pool:
            done = [pool.submit(post, address, says("a", "gate")) for _ in range(3)]
            assert waits(lambda: worker.in_flight == 3)
            status, body, headers = post(address, says("a", "gate"))
            assert (status, body["error"]["type"]) == (429, "rate_limit_error")
            assert int(headers["retry-after"]) >= 1
            gate.open.set()
            assert [one.result()[0] for one in done] == [200] * 3
        assert post(address, says("a", "gate"))[0] == 200


@pytest.mark.parametrize("half", [False, True])
def test_a80_clients_that_leave_free_their_places(half):
    gate = Gate()
    with served({"gate": gate.model}, most=40) as (address, service):
        worker = service.models.workers[0]
        first = raw(address, says("first", "gate"))
        assert waits(lambda: gate.asked == 1)  # the worker is busy, all others wait
        for kind, cancelled in ((False, 15), (True, 30)):
            gone = [raw(address, says("b", "gate", stream=kind)) for _ in range(15)]
            assert waits(lambda: worker.in_flight == 16)
            for opened in gone:
                opened.shutdown(socket.SHUT_WR) if half else opened.close()
            assert waits(lambda most=cancelled: left(service) == most)
            gate.open.set()
            assert waits(lambda: worker.in_flight == 0)
            gate.open.clear()
            if not kind:
                assert b" 200 " in first.recv(100)
                first = raw(address, says("first", "gate"))
                assert waits(lambda: gate.asked == 2), "nobody's request was answered for nothing"
        first.close()
        gate.open.set()
        assert post(address, says("c", "gate"))[0] == 200


def test_a_failing_model_fails_its_requests_and_tells_no_secret():
    def fails(prompt, limits):
        raise ValueError("/root/secret-path sk-abcdefghijklmnopqrstuv")

    said = []
    models = {"bad": Scripted("scripted:bad", fails), **ECHO}
    with served(models, say=said.append) as (address, _):
        status, body, _ = post(address, says("a", "bad"))
        assert status == 500
        assert "secret" not in json.dumps(body)
        assert post(address, says("a"))[0] == 200


def test_a_fault_of_ours_fails_the_requests_that_it_met_and_no_other(monkeypatch):
    """A job that nobody ends would let its client wait until it gives up."""

    def broken(model, limits):
        raise RuntimeError("a fault")

    with served(ECHO) as (address, service):
        with monkeypatch.context() as patch:
            patch.setattr("tuneworthy.handover.serve.worker.follows_model", broken)
            assert post(address, says("a"))[0] == 500
        assert post(address, says("a"))[0] == 200
        assert service.models.workers[0].in_flight == 0


def test_loading_and_stopping_are_503():
    with served(ECHO) as (address, service):
        models, service.models = service.models, None
        assert get(address, "/health") == (503, '{"status":"loading"}')
        status, _, headers = post(address, says("a"))
        assert (status, headers["retry-after"]) == (503, "2")
        service.models, service.stopping = models, True
        assert post(address, says("a"))[0] == 503
        service.stopping = False
        assert post(address, says("a"))[0] == 200


def test_requests_that_wait_when_the_worker_stops_get_503():
    gate = Gate()
    with served({"gate": gate.model}) as (address, service), ThreadPoolExecutor(4) as pool:
        done = [pool.submit(post, address, says("a", "gate")) for _ in range(4)]
        assert waits(lambda: service.models.workers[0].in_flight == 4)
        service.models.stop()
        threading.Timer(0.3, gate.open.set).start()
        assert sorted(one.result()[0] for one in done)[-1] == 503
        assert post(address, says("a", "gate"))[0] == 503


def test_an_artefact_answers_by_its_prompt_and_raw_without_it(tmp_path):
    seen = []

    def answer(prompt, limits):
        seen.append(([m.role for m in prompt], limits.max_tokens))
        return "refund"

    model = Scripted("scripted:echo", answer)
    system = Prompted(artefact(model="scripted:echo"), model)
    with served({"scripted:echo": model}, [system], tmp_path) as (address, _):
        name = "tickets-0123456789ab"
        names = [one["id"] for one in json.loads(get(address, "/v1/models")[1])["data"]]
        assert names == ["scripted:echo", name, f"{name}:raw", "tickets"]
        for asked, roles, most in (
            (name, ["system", "user"], 12),
            ("tickets", ["system", "user"], 12),
            (f"{name}:raw", ["user"], 1024),
            ("tickets:raw", ["user"], 1024),
            ("scripted:echo", ["user"], 1024),
        ):
            status, reply, _ = post(address, says("money back", asked))
            assert status == 200
            assert seen[-1] == (roles, most), asked
            whole = asked.replace("tickets-0123456789ab", "tickets").replace("tickets", name)
            assert reply["model"] == whole
        assert post(address, says("a", "tickets:rawer"))[0] == 404
        form = {"response_format": {"type": "json_object"}}
        warm, cut = {"temperature": 0.7}, {"stop": "x"}
        for field in (warm, cut, form, {"n": 2}, {"top_p": 0.5}, {"logprobs": True}):
            status, body, _ = post(address, says("a", name, **field))
            assert (status, body["error"]["param"]) == (400, *field)
        same = {"temperature": 0, "top_p": 1, "n": 1, "max_tokens": 500, "seed": 4}
        assert post(address, says("a", name, **same))[0] == 200
        last = says("a", name)
        last["messages"].append({"role": "assistant", "content": "b"})
        assert post(address, last)[1]["error"]["param"] == "messages"


@pytest.mark.parametrize(("sure_from", "told"), [
    (0.8, {"probability": 0.6, "hand_over": True}),
    (0.5, {"probability": 0.6, "hand_over": False}),
    (None, {"probability": 0.6}),
])  # fmt: skip
def test_an_unsure_answer_is_marked_to_be_handed_over(tmp_path, sure_from, told):
    system = Classifier(artefact(pack=Pack(role="", sure_from=sure_from), tool="classifier"))
    plain = system.answer
    system.answer = lambda queries: [
        one.model_copy(update={"labels": {one.text: 0.6, "other": 0.4}}) for one in plain(queries)
    ]
    with served({}, [system], tmp_path) as (address, _):
        status, body, _ = post(address, says("refund please", "tickets"))
    assert status == 200
    assert body["choices"][0]["tuneworthy"] == told


def test_a_classifier_is_served_alike_and_costs_no_token(tmp_path):
    system = Classifier(artefact(pack=Pack(role=""), arm="tfidf", tool="classifier"))
    with served(systems=[system], root=tmp_path) as (address, _), ThreadPoolExecutor(16) as pool:
        texts = [f"w{k} and more" for k in range(40)]
        replies = list(pool.map(lambda text: post(address, says(text, "tickets")), texts))
        assert [r["choices"][0]["message"]["content"] for _, r, _ in replies] == [
            text.split()[0] for text in texts
        ]
        assert replies[0][1]["usage"]["total_tokens"] == 0
        assert len(system.calls) < 40, "requests that wait are answered together"
        streamed = client(address).chat.completions.create(**says("a b", "tickets", stream=True))
        assert "".join(p.choices[0].delta.content or "" for p in streamed) == "a"
        assert post(address, says("a", "tickets-0123456789ab:raw"))[0] == 404
