"""A server in place of vLLM that has real weights: our own engine behind vLLM's routes.

STAND_IN: "" for a good one, or `ignored` (adapters are loaded and never applied).
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tuneworthy.core.case import Message
from tuneworthy.core.model import Limits
from tuneworthy.models.hf import load
from tuneworthy.models.local import score
from tuneworthy.models.local.chat_template import prompt_ids

HOW = os.environ.get("STAND_IN", "")
OPTIONS = dict(zip(sys.argv, sys.argv[1:], strict=False))
NAME, WEIGHTS = OPTIONS["--served-model-name"], Path(sys.argv[sys.argv.index("serve") + 1])
MODELS = {NAME: load(WEIGHTS, "hf:.", "float32")}
one_at_a_time = threading.Lock()


def scores(model, ids):
    """Return the log-probability of every id but the first."""
    heads = [list(ids[1 : at + 2]) for at in range(len(ids) - 1)]
    with model._adapted():
        (sums,) = score.logprobs(model.net, [list(ids[:1])], [heads])
    return [here - before for here, before in zip(sums, [0.0, *sums], strict=False)]


def likeliest(model, ids):
    """Return the five likeliest of some tokens; every fourth one is tried, to be quick."""
    tried = list(range(0, len(model.tokenizer), 4))
    with model._adapted():
        (sums,) = score.logprobs(model.net, [list(ids)], [[[token] for token in tried]])
    best = sorted(zip(sums, tried, strict=True), reverse=True)[:5]
    return {f"token {token}": value for value, token in best}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, code, value):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send(200, {"data": [{"id": NAME}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with one_at_a_time:
            self.answer(body)

    def answer(self, body):
        if self.path == "/v1/load_lora_adapter":
            folder = Path(body["lora_path"])
            model = MODELS[NAME] if HOW == "ignored" else MODELS[NAME].with_adapter(folder)
            MODELS[body["lora_name"]] = model
            return self.send(200, "Success")
        model = MODELS.get(body.get("model", NAME))
        if model is None:
            return self.send(404, {"error": {"message": f"no model {body['model']}"}})
        if self.path == "/v1/completions":
            ids = body["prompt"]
            told = {"top_logprobs": [likeliest(model, ids)]}
            if body.get("echo"):
                told = {"token_logprobs": [None, *scores(model, ids), -1.0]}
            return self.send(200, {"model": body["model"], "choices": [{"logprobs": told}]})
        if self.path == "/tokenize":
            if "prompt" in body:
                return self.send(200, {"tokens": model.tokenizer(body["prompt"])["input_ids"]})
            ids = model.tokenizer.apply_chat_template(
                body["messages"], add_generation_prompt=body["add_generation_prompt"]
            )
            return self.send(200, {"tokens": list(getattr(ids, "input_ids", ids))})
        prompt = [Message(role=m["role"], content=m["content"]) for m in body["messages"]]
        (reply,) = model.reply([prompt], Limits(max_tokens=body["max_tokens"]))
        self.send(200, {
            "model": body["model"],
            "choices": [{"message": {"role": "assistant", "content": reply.text},
                         "finish_reason": reply.finish}],
            "usage": {"prompt_tokens": len(prompt_ids(model.tokenizer, prompt)),
                      "completion_tokens": reply.tokens_out},
        })  # fmt: skip

    def log_message(self, *_):
        pass


print("weights served with", " ".join(sys.argv[1:]), flush=True)
ThreadingHTTPServer(("127.0.0.1", int(OPTIONS["--port"])), Handler).serve_forever()
