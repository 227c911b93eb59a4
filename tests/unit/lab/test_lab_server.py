"""The lab behind a real socket: odd HTTP, slow clients, 50 browsers on one run."""

import http.client
import json
import socket
import threading
from contextlib import contextmanager, suppress

import pytest
from lab_kit import SLUG, kinds, state_of, until
from lab_runner import SLOW_RATE, fake
from tests.in_time import ends_within

from tuneworthy.handover.serve import stoppable_server
from tuneworthy.handover.serve.listening import listening_socket
from tuneworthy.lab import app
from tuneworthy.lab.open_lab import open_lab


@contextmanager
def served(folder):
    opened = listening_socket("127.0.0.1", 0)
    lab = open_lab(folder, opened.getsockname(), open_runner=fake)
    server = app.make_server(lab)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    try:
        yield lab, server
    finally:
        lab.end_streams()
        server.should_exit = True
        thread.join(10)
        lab.close()
        assert not thread.is_alive()


@pytest.fixture
def lab(tmp_path):
    with served(tmp_path) as (lab, _):
        yield lab


def raw(lab, *lines, body=b"", seconds=10):
    """Send lines as they are; return what comes back until the server closes or waits."""
    with socket.create_connection(("127.0.0.1", lab.access.port), timeout=seconds) as sock:
        sock.sendall(b"\r\n".join([*lines, b"", b""]) + body)
        parts = []
        try:
            while part := sock.recv(65536):
                parts.append(part)
        except TimeoutError:
            pass
    return b"".join(parts)


def good(lab, *more):
    host = f"127.0.0.1:{lab.access.port}".encode()
    key = b"Authorization: Bearer " + lab.access.secret.encode()
    return [b"Host: " + host, key, b"Connection: close", *more]


def status(reply):
    return int(reply.split(b" ", 2)[1]) if reply else None


def post(lab, path, body):
    talk = http.client.HTTPConnection("127.0.0.1", lab.access.port, timeout=20)
    headers = {"authorization": f"Bearer {lab.access.secret}", "content-type": "application/json"}
    talk.request("POST", path, json.dumps(body), headers)
    reply = talk.getresponse()
    return reply.status, json.loads(reply.read())


def test_a_good_request_passes(lab):
    reply = raw(lab, b"GET /api/cases HTTP/1.1", *good(lab))
    assert status(reply) == 200
    assert b"server:" not in reply.lower()


@pytest.mark.parametrize(
    "line",
    [
        b"GET http://evil.com/ HTTP/1.1", b"GET //evil.com/ HTTP/1.1", b"GET * HTTP/1.1",
        b"CONNECT evil.com:80 HTTP/1.1", b"TRACE / HTTP/1.1", b"GET /%2e%2e/%2e%2e HTTP/1.1",
        b"GET /../../etc/passwd HTTP/1.1", b"GET /static/..%2f..%2fapp.py HTTP/1.1",
        b"GET /a\x00b HTTP/1.1", b"GET /case/\xff HTTP/1.1", b"GET / HTTP/9.9", b"nonsense",
        b"GET /launch?token=x HTTP/1.1", b"PRI * HTTP/2.0",
    ],
)  # fmt: skip
def test_a3_a24_odd_request_lines_are_refused(lab, line):
    assert status(raw(lab, line, *good(lab))) in (400, 401, 404, 405, 505)


def test_a3_two_hosts_none_and_old_http_are_refused(lab):
    own = good(lab)
    assert status(raw(lab, b"GET / HTTP/1.1", b"Host: evil.com", *own)) == 400
    assert status(raw(lab, b"GET / HTTP/1.1", *own[1:])) == 400
    assert status(raw(lab, b"GET / HTTP/1.0", *own[1:])) == 400


def test_a8_an_upgrade_is_not_answered(lab):
    more = [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]  # fmt: skip
    for origin in ([], [b"Origin: http://evil.com"]):
        reply = raw(lab, b"GET /api/cases HTTP/1.1", *good(lab)[:2], *more, *origin, seconds=1)
        assert status(reply) != 101


def test_a17_a_broken_header_is_refused(lab):
    for line in (b"X: a\rSet-Cookie: b", b"X: a\nY: b\n Z", b"X: a\x00b", b"X : a", b" X: a", b"X"):
        reply = raw(lab, b"GET /api/cases HTTP/1.1", *good(lab), line)
        assert b"set-cookie" not in reply.lower()
        assert status(reply) in (200, 400)
    split = raw(lab, b"GET /x%0d%0aSet-Cookie:%20a=b HTTP/1.1", *good(lab))
    assert status(split) == 400
    assert b"set-cookie" not in split.lower().partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([b"Content-Length: 2", b"Transfer-Encoding: chunked"], b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        ([b"Content-Length: 2", b"Content-Length: 4"], b"{}{}"),
        ([b"Content-Length: -1"], b"{}"),
        ([b"Content-Length: +2"], b"{}"),
        ([b"Transfer-Encoding: chunked"], b"zz\r\n{}\r\n0\r\n\r\n"),
        ([b"Transfer-Encoding: chunked, identity"], b"{}"),
        ([b"Transfer-Encoding: gzip"], b"{}"),
    ],
)
def test_a18_two_lengths_and_bad_chunks_are_refused(lab, lines, body):
    head = [b"POST /api/blind HTTP/1.1", *good(lab), b"Content-Type: application/json", *lines]
    reply = raw(lab, *head, body=body, seconds=3)
    assert status(reply) in (400, 501, None)
    assert reply.count(b"HTTP/1.1 ") <= 1, "what is smuggled is answered"
    assert not (lab.folder / "blind.jsonl").exists()


def test_a19_slow_headers_are_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(stoppable_server, "LIMIT_SECONDS", 0.5)
    with served(tmp_path) as (lab, _):
        socks = [socket.create_connection(("127.0.0.1", lab.access.port), 5) for _ in range(200)]
        for number, sock in enumerate(socks):
            sock.sendall(b"GET / HT" if number % 2 else b"")
        with ends_within(5):
            for sock in socks:
                sock.settimeout(5)
                with suppress(ConnectionResetError):
                    assert sock.recv(10) == b""
                sock.close()
        assert status(raw(lab, b"GET /api/cases HTTP/1.1", *good(lab))) == 200


def test_a19_half_sent_headers_take_no_place_from_others(lab):
    for _ in range(2):
        socks = [socket.create_connection(("127.0.0.1", lab.access.port), 5) for _ in range(150)]
        for sock in socks:
            sock.sendall(b"GET / HT")
        assert status(raw(lab, b"GET /api/cases HTTP/1.1", *good(lab))) == 200
        for sock in socks:
            sock.close()


def test_a19_a_slow_body_is_cut_off(lab, monkeypatch):
    from tuneworthy.handover.serve import request_body

    monkeypatch.setattr(request_body, "BODY_SECONDS", 0.3)
    head = [b"POST /api/blind HTTP/1.1", *good(lab), b"Content-Type: application/json",
            b"Content-Length: 20"]  # fmt: skip
    assert status(raw(lab, *head, body=b"{", seconds=5)) == 408


def test_a19_a_reader_that_does_not_read_is_cut_off_and_holds_up_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(stoppable_server, "LIMIT_SECONDS", 1.0)
    with served(tmp_path) as (lab, server):
        _, reply = post(lab, "/api/runs", {"case": SLUG, "config": {"rate": SLOW_RATE}})
        log = lab.jobs.log_of(reply["id"])
        until(lambda: "begin" in kinds(log))
        for _ in range(200):  # more than the buffers of both sides
            log.append({"kind": "log", "line": "x" * 50_000})
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", lab.access.port))
        lines = [f"GET /api/runs/{reply['id']}/events HTTP/1.1".encode(), *good(lab)]
        sock.sendall(b"\r\n".join([*lines, b"", b""]))
        until(lambda: log.ended)
        until(lambda: not server.server_state.connections)
        assert status(raw(lab, b"GET /api/cases HTTP/1.1", *good(lab))) == 200
        sock.close()


def test_a20_headers_of_a_megabyte_are_refused(lab):
    for size in (20_000, 1 << 20):
        try:
            reply = raw(lab, b"GET / HTTP/1.1", *good(lab), b"X: " + b"a" * size)
        except (ConnectionResetError, BrokenPipeError):
            continue
        assert status(reply) in (400, 431)


def test_p15_fifty_browsers_do_not_slow_the_writer(lab):
    _, reply = post(lab, "/api/runs", {"case": SLUG, "config": {"rate": SLOW_RATE}})
    name, seen, written = reply["id"], [], threading.Event()
    log = lab.jobs.log_of(name)
    until(lambda: "begin" in kinds(log))

    def watch():
        talk = http.client.HTTPConnection("127.0.0.1", lab.access.port, timeout=60)
        headers = {"authorization": f"Bearer {lab.access.secret}"}
        talk.request("GET", f"/api/runs/{name}/events", headers=headers)
        reply = talk.getresponse()
        written.wait(60)
        seen.append(reply.read().count(b"data: "))

    lab.jobs.control(name, "pause")
    until(lambda: state_of(lab.jobs, name) == "paused")
    tabs = [threading.Thread(target=watch) for _ in range(50)]
    for tab in tabs:
        tab.start()
    until(lambda: len(log._waiting) == 50)
    for _ in range(40):  # 8 MB a reader: more than the buffers between it and the writer hold
        log.append({"kind": "log", "line": "x" * 200_000})
    assert not seen, "no reader read while the events were written"
    written.set()
    lab.jobs.control(name, "resume")
    for tab in tabs:
        tab.join(60)
    assert seen == [len(log.lines)] * 50


def test_a_browser_that_leaves_a_stream_is_forgotten_in_silence(tmp_path, capfd):
    with served(tmp_path) as (lab, server):
        _, reply = post(lab, "/api/runs", {"case": SLUG, "config": {"rate": SLOW_RATE}})
        log = lab.jobs.log_of(reply["id"])
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", lab.access.port), 5) as sock:
                line = f"GET /api/runs/{reply['id']}/events HTTP/1.1".encode()
                sock.sendall(b"\r\n".join([line, *good(lab), b"", b""]))
                assert b"200 OK" in sock.recv(4096)
        until(lambda: not (server.server_state.connections or log._waiting))
        raw(lab, b"nonsense", *good(lab))
        lab.jobs.control(reply["id"], "stop")
        until(lambda: log.ended)
    assert capfd.readouterr() == ("", "")
