"""A study over a server that is not ours: `transformers serve` on the embedded model, by HTTP.

In a process of its own on 127.0.0.1. It gives the answers of the local engine wherever the logits
are not tied, so the same scores and the same verdict.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from studies import write
from tuneworthy.models.local.wheel import locate

EMBEDDED = locate()
ARMS = ["majority", "zero_shot", {"few_shot": {"k": 3, "draws": 1}}]
NAMES = ("majority", "zero_shot", "few_shot")
ROWS, SECONDS, CLEAR = 24, 900, 1e-3
START = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(EMBEDDED is None, reason="the embedded model is not on this machine"),
    pytest.mark.skipif(
        not (find_spec("fastapi") and find_spec("uvicorn")),
        reason="transformers serve needs fastapi and uvicorn: pip install '.[dev]'",
    ),
]


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


def end(server):
    """End the server and all that it started; return once it is gone."""
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, signum)
        except ProcessLookupError:
            break
        try:
            server.wait(10)
            break
        except subprocess.TimeoutExpired:
            continue
    server.wait(10)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serve the embedded model; return its address. It ends with the tests, or after SECONDS."""
    home, port = tmp_path_factory.mktemp("server"), free_port()
    (home / "embedded").symlink_to(EMBEDDED)  # a plain name, as served models have
    told = (home / "log.txt").open("wb")
    command = [sys.executable, "-c", START, "serve", "embedded", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--device", "cpu", "--dtype", "float32"]
    here = {**os.environ, "HF_HUB_OFFLINE": "1"}
    server = subprocess.Popen(command, cwd=home, stdout=told, stderr=told, env=here,
                              start_new_session=True)  # fmt: skip
    limit = threading.Timer(SECONDS, end, (server,))  # its clients then fail, and so the test
    limit.daemon = True
    limit.start()
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                log = (home / "log.txt").read_text("utf-8", "replace")
                assert server.poll() is None, log[-2000:]
                time.sleep(0.5)
        else:
            pytest.fail("the server did not come up in two minutes")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        limit.cancel()
        end(server)
        told.close()


def study(folder, model):
    """Run the study with a model; return its answers by arm and prompt, its scores, its verdict."""
    from tuneworthy.flows.study import RunOptions, run

    task = write(folder, ROWS, model=model, arms=ARMS,
                 precision="float32", output={"max_tokens": 6})  # fmt: skip
    results = run(task, RunOptions(pay=True, brief=True)).results
    answers, scores = {}, {}
    for done in results.runs:
        if done.spec.of or done.spec.arm not in NAMES:
            continue  # asked on some cases only, to read across
        assert done.state == "measured", done.because
        for answer, score in zip(done.answers, done.scores, strict=True):
            assert not answer.error
            answers[done.spec.arm, answer.case] = answer
            scores[done.spec.arm, answer.case] = score.value
    return answers, scores, results.verdict


def margin(engine, answer):
    """Return the least distance of the two largest logits on the way to an answer, in fp32."""
    import torch

    prompt, least = engine._prompt_ids(answer.prompt), float("inf")
    made = [*engine.tokenizer.encode(answer.text, add_special_tokens=False), engine.ends[0]]
    with torch.inference_mode():
        logits = engine.module(torch.tensor([[*prompt, *made]])).logits[0, len(prompt) - 1 : -1]
    for row in logits.topk(2).values:
        least = min(least, float(row[0] - row[1]))
    return least


def test_a_study_through_http_gives_the_answers_of_the_local_engine(
    served, tmp_path, monkeypatch, record_property
):
    from tuneworthy.models.hf import load

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    here, local_scores, verdict = study(tmp_path / "local", "smollm2-135m")
    there, remote_scores, other = study(tmp_path / "remote", f"openai:embedded@{served}")
    assert here.keys() == there.keys()
    asked = [key for key in here if here[key].prompt]
    assert len(asked) == 2 * ROWS
    assert all(here[key].prompt == there[key].prompt for key in asked)
    apart = [key for key in asked if here[key].text != there[key].text]
    engine = load(EMBEDDED, "smollm2-135m", "float32")
    tied = [key for key in asked if margin(engine, here[key]) <= CLEAR]
    figures = {"rows": ROWS, "answers": len(asked), "apart": len(apart), "tied": len(tied)}
    record_property("foreign_server", json.dumps(figures))
    print(figures)
    assert set(apart) <= set(tied), [(here[k].text, there[k].text) for k in apart]
    assert len(tied) < len(asked) / 4, "most answers are clear, else nothing is shown"
    assert len({here[key].text for key in asked}) >= 3, "the control: answers differ by row"
    if not apart:
        assert local_scores == remote_scores
        assert (verdict.arm, verdict.status) == (other.arm, other.status)
    for key in asked:
        assert there[key].tokens_in == here[key].tokens_in, "both render the same prompt"
        assert there[key].tokens_out


def test_the_control_another_model_answers_otherwise(served, tmp_path):
    """A name that the server does not serve is an error with its reason, not an answer."""
    from tuneworthy.records.errors import TuneworthyError

    with pytest.raises(TuneworthyError, match="400"):
        study(tmp_path, f"openai:another@{served}")
