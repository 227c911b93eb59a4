"""Requests drawn from the OpenAPI documents of the lab and of `serve`, with the token and without.

No request ends in 5xx, in a trace-back or never; a refusal has the documented form and status;
without the token nothing but the health check answers.
"""

import sys
from pathlib import Path

import pytest
from fuzz_kit import CANARY, SEED, _drawn
from openapi_kit import requests_of
from starlette.testclient import TestClient
from tests.in_time import ends_within

UNIT = Path(__file__).parents[1] / "unit"
sys.path += [str(UNIT / "lab"), str(UNIT / "handover" / "serve")]

pytestmark = pytest.mark.full
FULL, LONG = 300, 6_000
HOW_MANY = [FULL, pytest.param(LONG, marks=pytest.mark.long)]
SECONDS = 30.0  # for one request
LAB = {400, 403, 404, 405, 409, 413, 414, 415, 422, 429, 431}
SERVE = {400, 404, 405, 413, 415}
PARTS = {"status", "what", "where", "got", "fix", "kept"}

MESSAGE = {"type": "object", "required": ["role", "content"], "properties": {
    "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
    "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {
        "type": "object", "required": ["type", "text"],
        "properties": {"type": {"const": "text"}, "text": {"type": "string"}}}}]}}}  # fmt: skip
COUNT, SHARE, SWITCH = {"type": "integer"}, {"type": "number"}, {"type": "boolean"}
FORMAT = {
    "anyOf": [
        {"const": {"type": "text"}},
        {"const": {"type": "json_object"}},
        {
            "const": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"type": "object"}},
            }
        },
    ]
}
CHAT = {"type": "object", "required": ["model", "messages"], "properties": {
    "model": {"type": "string"}, "messages": {"type": "array", "minItems": 1, "items": MESSAGE},
    "temperature": {**SHARE, "minimum": 0, "maximum": 2},
    "top_p": {**SHARE, "minimum": 0, "maximum": 1}, "seed": COUNT,
    "max_tokens": {**COUNT, "minimum": 1, "maximum": 64},
    "max_completion_tokens": {**COUNT, "minimum": 1, "maximum": 64},
    "n": {**COUNT, "minimum": 1, "maximum": 4}, "stream": SWITCH,
    "stop": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
    "stream_options": {"type": "object", "properties": {"include_usage": SWITCH}},
    "logprobs": SWITCH, "top_logprobs": {**COUNT, "minimum": 0, "maximum": 20},
    "response_format": FORMAT}}  # fmt: skip
BODY = {"content": {"application/json": {"schema": CHAT}}}
NAME = {"name": "name", "in": "path", "schema": {"type": "string"}}
# What docs/how-to/serve.md says of the routes: the server itself holds no such document.
SERVED = {"paths": {
    "/v1/chat/completions": {"post": {"requestBody": BODY}}, "/v1/models": {"get": {}},
    "/v1/models/{name}": {"get": {"parameters": [NAME]}}, "/metrics": {"get": {}},
    "/health": {"get": {}}}}  # fmt: skip


def said(reply, asked):
    return f"{asked}: {reply.status_code} {reply.text[:600]}"


def sound(reply, asked, secrets):
    """Assert what holds for every reply: no 5xx, no trace-back, no secret."""
    assert reply.status_code < 500, said(reply, asked)
    for word in ("Traceback", 'File "/', CANARY, *secrets):
        assert word not in reply.text, said(reply, asked)


@pytest.fixture
def lab(finished, tmp_path, monkeypatch):
    import shutil

    from lab_kit import PORT
    from lab_runner import fake

    from tuneworthy.lab import open_lab as module

    monkeypatch.setattr(module, "PACKAGE_RECORDS", tmp_path / "nothing shipped")
    shutil.copytree(finished, tmp_path / "work")
    opened = module.open_lab(tmp_path / "work", ("127.0.0.1", PORT), open_runner=fake,
                             say=lambda line: None)  # fmt: skip
    yield opened
    opened.close()


def lab_names(lab):
    """Return values of the fields and parameters of the lab, as its pages send them."""
    from tuneworthy.lab.cases import all_cases
    from tuneworthy.lab.play_run import TASKS
    from tuneworthy.lab.studies import find_studies

    cases = all_cases()
    slug = next(iter(cases))
    knobs = sorted({name for one in cases.values() for name in one.config("plant")})
    keys = [place.id for place in find_studies(lab.working)]
    assert keys, "the lab has a study"
    return {"slug": list(cases), "case": list(cases), "cause": list(cases), "key": keys,
            "task": list(TASKS), "row": ["0", "1"], "action": ["stop", "pause", "resume"],
            "name": ["lab.css", "lab.js", slug], "key of an object": knobs, "sure": [0, 1, 2],
            "seed": [0, 1], "choice": ["left", "typed"]}  # fmt: skip


@pytest.mark.parametrize("count", HOW_MANY)
def test_p27_every_drawn_request_to_the_lab_is_answered_or_refused_in_form(lab, count):
    from lab_kit import ORIGIN, Browser

    from tuneworthy.lab.app import make_app, make_unguarded_app

    document = make_unguarded_app(lab).openapi()
    app, names = make_app(lab), lab_names(lab)
    own = {"origin": ORIGIN, "x-csrf-token": lab.access.csrf}
    statuses = set()
    with Browser(app, lab) as browser, Browser(app, lab, launch=False) as stranger:
        for asked in _drawn("lab", requests_of(document, names), count, SEED[-1]):
            sent = (asked.method, asked.path)
            with ends_within(SECONDS):
                reply = browser.request(*sent, content=asked.body, headers=own | asked.headers)
            sound(reply, asked, (lab.access.secret,))
            statuses.add(reply.status_code)
            if reply.status_code >= 400:
                assert reply.status_code in LAB, said(reply, asked)
                if reply.headers["content-type"] == "application/json" and reply.text:
                    assert reply.json().keys() == PARTS, said(reply, asked)
                    assert reply.json()["status"] == reply.status_code
            alone = stranger.request(*sent, content=asked.body, headers=own | asked.headers)
            assert alone.status_code in (400, 401, 405), said(alone, asked)
            sound(alone, asked, (lab.access.secret, lab.access.csrf))
    assert {200, 404, 422} <= statuses, "the draw reaches answers and refusals"


@pytest.mark.parametrize("count", HOW_MANY)
def test_p27_every_drawn_request_to_serve_is_answered_or_refused_in_form(count):
    from serve_kit import TOKEN

    from tuneworthy.handover.serve.http_app import make_app
    from tuneworthy.handover.serve.served_models import ServedModels
    from tuneworthy.handover.serve.service import Service
    from tuneworthy.models.scripted import open_scripted

    models = ServedModels(256)
    models.add_model("echo", open_scripted("echo", Path()))
    app = make_app(Service(TOKEN, models=models))
    statuses = set()
    try:
        client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        names = {"name": ["echo"], "model": ["echo"]}
        for asked in _drawn("serve", requests_of(SERVED, names), count, SEED[-1]):
            sent = (asked.method, asked.path)
            own = {"authorization": f"Bearer {TOKEN}"}
            with ends_within(SECONDS):
                reply = client.request(*sent, content=asked.body, headers=own | asked.headers)
            sound(reply, asked, (TOKEN,))
            statuses.add(reply.status_code)
            if reply.status_code >= 400 and asked.method != "HEAD":
                assert reply.status_code in SERVE, said(reply, asked)
                error = reply.json()["error"]
                assert error["message"], said(reply, asked)
                assert error["type"], said(reply, asked)
            alone = client.request(*sent, content=asked.body, headers=asked.headers)
            health = asked.path == "/health" and asked.method in ("GET", "HEAD")
            refused = {200} if health else {401, 404, 405}
            assert alone.status_code in refused, said(alone, asked)
            sound(alone, asked, (TOKEN,))
    finally:
        models.stop()
    assert {200, 400, 404} <= statuses, "the draw reaches answers and refusals"


def test_the_chat_fields_are_those_that_the_server_reads():
    from tuneworthy.handover.serve.chat_request import _READ_FIELDS

    assert set(CHAT["properties"]) == _READ_FIELDS
