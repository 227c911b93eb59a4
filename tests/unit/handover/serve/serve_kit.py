"""A server in a thread of the test, systems made by hand, and raw sockets."""

import contextlib
import json
import socket
import threading
import time
import urllib.error
import urllib.request

import uvicorn

from tuneworthy.handover.serve.http_server import server_config
from tuneworthy.handover.serve.served_models import Openers, ServedModels
from tuneworthy.handover.serve.served_versions import versions_in
from tuneworthy.handover.serve.service import Service
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.answer import Answer
from tuneworthy.records.arm import Recipe
from tuneworthy.records.artefact import Artefact, Pack
from tuneworthy.records.case import Message
from tuneworthy.records.model import Limits

TOKEN = "test-token"
HEAD = "You read messages to a shop. Answer with one word that names the kind of message."
LIMITS = Limits(max_tokens=12)


class Prompted:
    """A system as `build` leaves it: a fixed system turn before the input, answered by a model."""

    def __init__(self, artefact, model, limits=LIMITS):
        self.artefact, self.model, self.limits = artefact, model, limits

    def prompts(self, queries):
        return [(Message(role="system", content=HEAD), *query.messages) for query in queries]

    def answer(self, queries):
        replies = self.model.reply(self.prompts(queries), self.limits)
        return [
            Answer(case=q.id, **r.model_dump(include={"text", "tokens_in", "tokens_out", "finish",
                                                      "error"}))
            for q, r in zip(queries, replies, strict=True)
        ]  # fmt: skip


class Classifier:
    """A system without a model: the first word of the input."""

    model, limits = None, None

    def __init__(self, artefact):
        self.artefact, self.calls = artefact, []

    def prompts(self, queries):
        return None

    def answer(self, queries):
        self.calls.append(len(queries))
        return [Answer(case=q.id, text=q.input.split()[0], finish="stop") for q in queries]


def artefact(name="tickets", id="0123456789ab", **more):
    """Return a manifest; `pack` may be given as keywords."""
    pack = more.pop("pack", Pack(recipe=Recipe(), limits=LIMITS))
    made = {"arm": "few_shot", "tool": "prompt", "made_by": "test", "task": {}, **more}
    return Artefact(id=id, name=name, pack=pack, **made)


def write_artefact(folder, made):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "artefact.json").write_text(made.model_dump_json(), "utf-8")
    return folder


class Gate:
    """A scripted model that answers only while its gate is open."""

    def __init__(self, text="fine"):
        self.open, self.asked, self.most = threading.Event(), 0, 0
        self.model = Scripted("scripted:gate", self._answer)
        self.text = text

    def _answer(self, prompt, limits):
        self.asked += 1
        assert self.open.wait(20)
        return self.text


@contextlib.contextmanager
def served(models=(), systems=(), root=None, most=256, connections=600, **more):
    """Serve {name: model} and {manifest: system} and yield (address, service)."""
    catalogue = ServedModels(most)
    for name, model in dict(models).items():
        catalogue.add_model(name, model)
    if systems:
        by_folder = {}
        for system in systems:
            made = system.artefact
            folder = write_artefact(root / f"{made.name}-{made.id}", made)
            by_folder[folder] = system
            time.sleep(0.01)  # the order of building
        found = versions_in(root)
        opened = dict(models)
        catalogue.open_versions(
            root,
            found,
            Openers(lambda v, base: by_folder[v.folder], lambda v: opened[v.artefact.model]),
        )
    service = Service(more.pop("token", TOKEN), models=catalogue, **more)
    taken = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(service, connections, 1.0))
    thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{taken.getsockname()[1]}", service
    finally:
        server.should_exit = True
        catalogue.stop()
        thread.join(10)
        assert not thread.is_alive()


def post(address, body, token=TOKEN, path="/v1/chat/completions", **headers):
    """Return (status, JSON, headers) of a request with plain urllib, as curl sends it."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", **headers}
    if token:
        sent["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(address + path, data=data, headers=sent)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read()), dict(reply.headers)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), dict(error.headers)


def get(address, path, token=TOKEN):
    sent = {"authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=sent)) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def says(text, model="scripted:echo", **more):
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def raw(address, body, token=TOKEN):
    """Return an open socket to which a whole request was sent."""
    data = json.dumps(body).encode()
    host = address.removeprefix("http://")
    name, _, port = host.partition(":")
    opened = socket.create_connection((name, int(port)), timeout=20)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    opened.sendall(head.encode() + data)
    return opened


def left(service):
    """Return how many clients left before their answer."""
    return int(service.counters._registry.get_sample_value("tuneworthy_cancelled_total"))


def waits(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
