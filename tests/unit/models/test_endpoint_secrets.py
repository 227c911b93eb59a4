"""D9: no text has the key, and no request reaches a forbidden address."""

import json
import os
import socket
from urllib.parse import quote

import pytest
from models_kit import ask, says
from test_openai_compatible import LIMITS, Purse
from tests import studies
from tests.key_kit import ENCODED, KEY, traces

from tuneworthy.models.openai_compatible import Remote
from tuneworthy.models.remote.endpoint import (
    endpoint,
    refuse_address,
    refuse_resolved,
)
from tuneworthy.models.remote.wire import RetryPolicy, _refuse_forbidden_peer
from tuneworthy.records.errors import ProviderError, SecurityError, TuneworthyError
from tuneworthy.records.redaction import REMOVED, Redactor


@pytest.fixture
def home(serve, monkeypatch):
    def make(*turns):
        server = serve(*turns)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        return server

    return make


@pytest.mark.parametrize("spelling", ENCODED.values(), ids=ENCODED.keys())
def test_the_key_is_removed_in_every_spelling(spelling):
    assert traces(f"x {spelling} y"), "the check itself finds it"
    clean = Redactor(KEY)
    for text in (spelling, f"x{spelling}y", f"Authorization: {spelling}\n"):
        assert not traces(clean.text(text))
        assert REMOVED in clean.text(text)
    assert traces(json.dumps(clean.json({spelling: [spelling, {"a": spelling}]}))) == []
    assert KEY not in repr(clean)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", " \t"])
def test_a_key_with_the_line_end_of_a_file_is_sent_without_it(home, monkeypatch, end):
    server = home(says("yes"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY + end)
    model = Remote("m", endpoint(None), Purse(), None, RetryPolicy(attempts=1))
    assert [answer.text for answer in model.reply(ask("a"), LIMITS)] == ["yes"]
    assert server.seen[0]["headers"]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("inside", ["\r", "\n", "\x1b", "ß"])
def test_a_key_that_no_header_can_hold_is_refused_unshown(home, monkeypatch, inside):
    home()
    monkeypatch.setenv("OPENAI_API_KEY", KEY[:14] + inside + KEY[14:])
    with pytest.raises(SecurityError, match="OPENAI_API_KEY") as refused:
        endpoint(None)
    assert KEY[:14] not in str(refused.value) + json.dumps(refused.value.plain())
    assert KEY[14:] not in str(refused.value) + json.dumps(refused.value.plain())


@pytest.mark.parametrize("end", ["\r", "\n", "\\", "'", '"'])
def test_the_key_is_removed_as_a_library_prints_it(end):
    key = KEY + end + "tail-of-it"
    for text in (repr(key), repr(f"Bearer {key}".encode()), json.dumps({"a": key}), repr([key])):
        assert not traces(Redactor(key).text(text)), text


def test_a_short_key_or_none_changes_no_answer():
    for key in (None, "", "none", "EMPTY"):
        assert Redactor(key).text("none is EMPTY") == "none is EMPTY"


@pytest.mark.parametrize("spelling", ENCODED.values(), ids=ENCODED.keys())
@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_a_server_that_echoes_the_key_gives_it_to_nobody(home, spelling, status):
    long = "x" * 280 + spelling  # where messages are cut
    error = {"error": {"message": long, "code": spelling, "param": spelling, "type": spelling}}
    turn = {"status": status, "json": error, "headers": {"x-echo": quote(spelling)}}
    if status == 200:
        turn = says(spelling, model=spelling, system_fingerprint=spelling, finish_reason=spelling)
    home(turn)
    purse = Purse()
    model = Remote("m", endpoint(None), purse, None, RetryPolicy(attempts=2, sleep=lambda s: None))
    try:
        seen = str(model.reply(ask("a"), LIMITS))
    except ProviderError as caught:
        seen = str(caught) + str(caught.plain()) + repr(caught)
    assert not traces(seen)
    assert not traces(str(purse.kept) + str(purse.facts) + str(model.notes) + str(vars(model)))


@pytest.mark.parametrize("raw", ["<html>{}</html>", '{{"choices": "{}"}}', '"{}"'])
def test_pages_and_broken_json_give_it_to_nobody(home, raw):
    for status in (200, 403, 503):
        home({"status": status, "raw": raw.format(KEY).encode()})
        model = Remote("m", endpoint(None), None, None, RetryPolicy(attempts=1))
        with pytest.raises(ProviderError) as caught:
            model.reply(ask("a"), LIMITS)
        assert not traces(str(caught.value))


def test_no_byte_that_a_study_writes_or_says_holds_the_key(home, tmp_path, capfd, caplog):
    from tuneworthy.flows.study import RunOptions, run

    spelled = list(ENCODED.values())

    def turn(body):
        text = body["messages"][-1]["content"]
        echo = spelled[len(text) % len(spelled)]
        if "7" in text[-2:]:
            return {"status": 400, "json": {"error": {"message": f"bad prompt {echo}"}}}
        label = next((n for n in studies.LABELS if n[:4] in text), "refund")
        return says(label if len(text) % 3 else f"{label} {echo}", model=f"m {KEY}",
                    system_fingerprint=echo)  # fmt: skip

    server = home(turn)
    path = studies.write(tmp_path, model="openai:m", arms=["present", "zero_shot", "few_shot"],
                         output={"type": "text"}, success={"metric": "exact"},
                         budget={"minutes": 20, "tokens": 10**9})  # fmt: skip
    said = []
    study = run(path, RunOptions(pay=True), lambda event, data: said.append(str(data)))
    assert len(server.seen) > 60
    assert KEY in server.seen[0]["headers"]["authorization"], "it was sent, to its own home"
    assert study.verdict.arms
    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert any(p.name == "ledger.sqlite" for p in written)
    for file in written:
        assert not traces(file.read_bytes().decode("latin-1")), file
    out, err = capfd.readouterr()
    assert not traces(out + err + caplog.text + "\n".join(said) + repr(study.results))
    answers = [a.text for r in study.results.runs for a in r.answers]
    assert any(REMOVED in text for text in answers), "the echoes came"


SPELLINGS = ["169.254.169.254", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0251.254.43518",
             "0251.0376.0251.0376", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
             "[::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[fe80::1]",
             "[fd00:ec2::254]", "[fd00:0ec2:0:0::0254]", "metadata.google.internal",
             "METADATA.google.internal.", "metadata", "100.100.100.200", "192.0.0.192",
             "168.63.129.16", "0.0.0.0", "[::]", "224.0.0.1"]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
def test_a_metadata_address_is_refused_in_every_spelling(host):
    with pytest.raises(SecurityError):
        endpoint(f"http://{host}/v1")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "10.0.0.7", "192.168.1.5",
                                  "172.16.0.9", "[fd12:3456::7]", "models.lan"])  # fmt: skip
def test_this_machine_and_the_private_network_are_allowed(host):
    assert endpoint(f"http://{host}:8000/v1").url


def test_a_name_that_resolves_to_one_is_refused_before_anything_is_sent(monkeypatch, serve):
    server = serve(says())
    where = endpoint(server.url.replace("127.0.0.1", "models.example"))
    family = socket.AF_INET
    for number in ("169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"):
        found = [(family, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80)),
                 (family, socket.SOCK_STREAM, 6, "", (number, 80))]  # fmt: skip
        monkeypatch.setattr(socket, "getaddrinfo", lambda *a, f=found, **k: f)
        with pytest.raises(SecurityError):
            refuse_resolved(where)
        with pytest.raises(SecurityError):
            Remote("m", where).reply(ask("a"), LIMITS)
    assert not server.seen

    def nowhere(*args, **more):
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    refuse_resolved(where)


def test_a_name_that_resolves_otherwise_at_connect_time_is_refused_there(monkeypatch, serve):
    """The first look-up is harmless, the connection goes elsewhere (DNS rebinding)."""
    from tuneworthy.models.remote import wire as _wire

    server, purse = serve(says()), Purse(usd=1)
    price = {"in": 1.0, "out": 1.0}
    model = Remote("m", endpoint(server.url), purse, price, RetryPolicy(attempts=2))
    asked = []

    def look(host):
        asked.append(host)
        refuse_address("169.254.169.254")

    monkeypatch.setattr(_wire, "refuse_address", look)
    with pytest.raises(SecurityError):
        model.reply(ask("a"), LIMITS)
    assert asked == ["127.0.0.1"], "the peer of the connection is what is checked"
    assert not server.seen, "nothing was sent"
    assert not purse.open


def test_other_events_of_a_connection_are_not_looked_at():
    _refuse_forbidden_peer("http11.send_request_headers.started", {})


def test_a_study_at_such_an_address_ends_with_a_clear_error(tmp_path, monkeypatch):
    from tuneworthy.flows.study import RunOptions, run

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = studies.write(tmp_path, model="openai:m@http://0xa9fea9fe/v1",
                         arms=["present", "zero_shot"])  # fmt: skip
    with pytest.raises(TuneworthyError) as caught:
        run(path, RunOptions(pay=True))
    assert isinstance(caught.value, SecurityError)
    assert caught.value.exit_code == 2
    assert os.environ.get("OPENAI_API_KEY") is None
