"""A server in place of vLLM that has real weights: our own engine behind vLLM's routes.

It runs in this process, in threads: a process of its own would open torch once more for each start.
`fault` is "", or `ignored` (adapters are loaded and never applied).
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tuneworthy.models.hf import load
from tuneworthy.models.local import score
from tuneworthy.models.local.chat_template import prompt_ids
from tuneworthy.records.case import Message
from tuneworthy.records.model import Limits


def scores(model, ids):
    """Return the log-probability of every id but the first."""
    heads = [list(ids[1 : at + 2]) for at in range(len(ids) - 1)]
    with model._adapter_applied():
        (sums,) = score.logprobs(model.net, [list(ids[:1])], [heads])
    return [here - before for here, before in zip(sums, [0.0, *sums], strict=False)]


def likeliest(model, ids):
    """Return the five likeliest of some tokens; every fourth one is tried, to be quick."""
    tried = list(range(0, len(model.tokenizer), 4))
    with model._adapter_applied():
        (sums,) = score.logprobs(model.net, [list(ids)], [[[token] for token in tried]])
    best = sorted(zip(sums, tried, strict=True), reverse=True)[:5]
    return {f"token {token}": value for value, token in best}


class WeightsServer:
    """Serves the weights of a ServerModel, as `server_process.start` returns a server."""

    kind, key = "vllm", "the-key"

    def __init__(self, model, fault=""):
        self.fault, self.name, self.lock = fault, model.name, threading.Lock()
        self.models = {model.name: load(Path(model.weights), "hf:.", "float32")}
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with owner.lock:
                    code, value = owner.answer(self.path, asked)
                body = json.dumps(value).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def ended(self, patience=0.0):
        return ""

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
        self.models.clear()

    def answer(self, path, body):
        """Return the status and the JSON of a request."""
        base = self.models[self.name]
        if path == "/v1/load_lora_adapter":
            folder = Path(body["lora_path"])
            model = base if self.fault == "ignored" else base.with_adapter(folder)
            self.models[body["lora_name"]] = model
            return 200, "Success"
        model = self.models.get(body["model"])
        if model is None:
            return 404, {"error": {"message": f"no model {body['model']}"}}
        if path == "/v1/completions":
            ids = body["prompt"]
            if body.get("echo"):
                told = {"token_logprobs": [None, *scores(model, ids), -1.0]}
            else:
                told = {"top_logprobs": [likeliest(model, ids)]}
            return 200, {"model": body["model"], "choices": [{"logprobs": told}]}
        prompt = [Message(role=m["role"], content=m["content"]) for m in body["messages"]]
        (reply,) = model.reply([prompt], Limits(max_tokens=body["max_tokens"]))
        message = {"role": "assistant", "content": reply.text}
        return 200, {
            "model": body["model"],
            "choices": [{"message": message, "finish_reason": reply.finish}],
            "usage": {
                "prompt_tokens": len(prompt_ids(model.tokenizer, prompt)),
                "completion_tokens": reply.tokens_out,
            },
        }
