"""A key that is not set is said by plan and check, and stops a run before it spends a look."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests import studies

import tuneworthy
from tuneworthy.cli._frame import run
from tuneworthy.flows.study import check, plan
from tuneworthy.models import lacks_key
from tuneworthy.models.scripted import Scripted
from tuneworthy.records.errors import ModelError, ProviderError, TaskError, TuneworthyError

PRICES = {"prices": {"gpt-4o-mini": {"in": 0.1, "out": 0.1}}}
HOSTED = {"model": "openai:gpt-4o-mini", "present": None, "budget": {"usd": 1}}


@pytest.fixture
def no_key(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def refusing(monkeypatch):
    """Serve 401 to everything with a wrong key, under OPENAI_BASE_URL; yield what was asked."""
    seen, says = [], ["Incorrect API key provided: sk-wrong."]

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            seen.append(f"{self.command} {self.path}")
            body = json.dumps({"error": {"message": says[0]}}).encode()
            self.send_response(401)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    yield seen, says
    server.shutdown()
    server.server_close()


def rewritten(path, **keys):
    path.write_text(json.dumps(json.loads(path.read_text()) | keys), "utf-8")
    return path


def test_a_run_without_the_key_ends_before_it_scores_and_spends_no_look(tmp_path, no_key):
    path = studies.write(tmp_path, arms=["majority", "tfidf", "zero_shot"], **HOSTED)
    with pytest.raises(TaskError, match="there is no key for this endpoint") as caught:
        tuneworthy.run(path)
    assert "no look was spent" in caught.value.kept
    rewritten(path, arms=["majority", "tfidf"])
    assert plan(path).looks == 1
    assert tuneworthy.run(path).verdict.looks == 1


def test_a_run_under_a_cap_without_a_price_ends_before_it_scores(tmp_path):
    path = studies.write(tmp_path, bigger="openai:big@http://127.0.0.1:1/v1", budget={"usd": 1},
                         arms=["majority", "tfidf", "bigger"])  # fmt: skip
    with pytest.raises(TaskError, match="a money cap needs a price") as found:
        tuneworthy.run(path)
    assert "no look was spent" in found.value.kept


def test_an_arm_whose_larger_model_has_no_key_is_skipped_and_the_others_run(tmp_path, no_key):
    path = studies.write(tmp_path, bigger="openai:gpt-4o-mini", budget={"usd": 1},
                         arms=["majority", "tfidf", "bigger"])  # fmt: skip
    arms = {arm.name: arm for arm in tuneworthy.run(path).verdict.arms}
    assert arms["tfidf"].state == "measured"
    assert "there is no key for this endpoint" in arms["bigger"].because


def test_a_wrong_key_ends_a_run_before_an_arm_is_scored_and_spends_no_look(tmp_path, refusing):
    seen, _ = refusing
    path = studies.write(
        tmp_path, arms=["majority", "tfidf", "zero_shot"], economics=PRICES, **HOSTED
    )
    with pytest.raises(ProviderError, match="refuses this key") as caught:
        tuneworthy.run(path)
    assert seen == ["GET /v1/models"]
    assert "Incorrect API key" in caught.value.got
    assert "sk-wrong" not in str(caught.value)
    assert "no look was spent" in caught.value.kept
    rewritten(path, arms=["majority", "tfidf"])
    assert tuneworthy.run(path).verdict.looks == 1
    assert seen == ["GET /v1/models"]  # nothing is asked, so no key is looked at


def test_a_key_that_may_not_list_models_is_no_wrong_key(tmp_path, refusing):
    seen, says = refusing
    says[0] = "You have insufficient permissions. Missing scopes: api.model.read"
    path = studies.write(
        tmp_path, arms=["majority", "tfidf", "zero_shot"], economics=PRICES, **HOSTED
    )
    with pytest.raises(ProviderError, match="does not answer"):  # an arm's own request says it
        tuneworthy.run(path)
    assert seen[:2] == ["GET /v1/models", "POST /v1/chat/completions"]


def test_plan_and_check_say_that_the_key_is_not_set(tmp_path, no_key, capsys):
    path = studies.write(tmp_path, arms=["majority", "zero_shot"], **HOSTED)
    assert run(["plan", str(path)]) == 0
    assert "OPENAI_API_KEY is not set" in capsys.readouterr().err
    assert run(["check", str(path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "can't ask openai:gpt-4o-mini, and ends before anything is asked" in text


def test_a_model_that_no_arm_asks_and_one_with_a_key_are_not_spoken_of(
    tmp_path, no_key, monkeypatch
):
    path = studies.write(tmp_path, arms=["majority", "tfidf"], **HOSTED)
    assert "no_key" not in [seen.kind for seen in check(path).observations]
    rewritten(path, arms=["majority", "zero_shot", "bigger"], model=studies.MODEL,
              bigger="openai:gpt-4o-mini")  # fmt: skip
    (seen,) = [seen for seen in check(path).observations if seen.kind == "no_key"]
    assert "skips the arms that ask it" in seen.text
    assert not lacks_key("openai:m@http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert "no_key" not in [seen.kind for seen in check(path).observations]


def test_a_look_is_counted_only_once_an_arm_is_scored(tmp_path, monkeypatch):
    path = studies.write(tmp_path, arms=["zero_shot", "few_shot"], present=None)

    def broken(self, prompts, limits):
        raise ModelError("out of order")

    monkeypatch.setattr(Scripted, "reply", broken)
    with pytest.raises(TuneworthyError):
        tuneworthy.run(path)
    monkeypatch.undo()
    rewritten(path, instruction="Sort the mail.")
    assert plan(path).looks == 1
    assert tuneworthy.run(path).verdict.looks == 1
    assert plan(rewritten(path, instruction="Sort.")).looks == 2
