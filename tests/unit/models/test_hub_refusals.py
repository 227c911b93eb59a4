"""I103: a hub that has no such model, gates it, or can't be reached is told by its cause."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tuneworthy.models.local import wheel as _hub
from tuneworthy.records.errors import ModelError


@pytest.fixture
def far_hub(tmp_path, monkeypatch):
    """Return a function that starts a hub which refuses every request; "" starts none."""
    constants = pytest.importorskip("huggingface_hub.constants")
    servers = []

    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.refusal[0])
            self.send_header("X-Error-Code", self.server.refusal[1])
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *words):
            """Print nothing."""

    def start(code):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
        server.refusal = (403 if code == "GatedRepo" else 404, code)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        if not code:
            server.shutdown()
            server.server_close()

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_canary_123")
    yield start
    for server in servers:
        server.shutdown() if server.refusal[1] else None
        server.server_close()


@pytest.mark.parametrize(
    ("code", "fix"),
    [("RepoNotFound", "check the name"), ("GatedRepo", "accept the model's terms"),
     ("RevisionNotFound", "check the commit"), ("", "check the network")],
)  # fmt: skip
def test_i103_a_hub_that_does_not_give_a_model_is_told_by_its_cause(far_hub, code, fix):
    far_hub(code)
    with pytest.raises(ModelError, match="can't be had from the hub") as caught:
        _hub.snapshot("org/tiny@abc")
    assert (caught.value.exit_code, caught.value.where) == (1, "org/tiny")
    assert caught.value.fix.startswith(fix)
    assert "hf:./folder" in caught.value.fix
    assert "canary" not in str(caught.value)


def test_i103_offline_nothing_is_asked(far_hub, monkeypatch):
    far_hub("RepoNotFound")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="can't be had from the hub") as caught:
        _hub.snapshot("org/tiny")
    assert "HF_HUB_OFFLINE" in caught.value.fix
