"""A server in place of vLLM: its command line, health, models, adapters, scores, scripted answers.

STAND_IN: "" for a good one; `dies`, `hangs`, `stubborn` (ignores SIGTERM), `other` (serves another
model), `crashes N` (ends after N answers), `crashes loading` (ends when it gets an adapter),
`child` (starts a process of its own), `batch` (answers depend on the requests at the same
time), or a fault of fake_models.py.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fake_models import FakeModels

HOW, _, COUNT = os.environ.get("STAND_IN", "").partition(" ")
OPTIONS = dict(zip(sys.argv, sys.argv[1:], strict=False))
NAME = OPTIONS["--served-model-name"]
MODELS = FakeModels(NAME, os.environ.get("STAND_IN", ""))
lock = threading.Lock()


def ids_of(text):
    return [sum(word.encode()) for word in text.split()]


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
        if self.path == "/health":
            return self.send(200, {})
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            return self.send(401, {"error": {"message": "no key"}})
        self.send(200, {"data": [{"id": "another/model" if HOW == "other" else NAME}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            return self.send(401, {"error": {"message": "no key"}})
        answer = {
            "/v1/load_lora_adapter": self.load,
            "/v1/completions": self.complete,
            "/v1/chat/completions": self.chat,
            "/tokenize": self.tokenize,
        }[self.path]
        with lock:
            MODELS.busy += 1
        try:
            answer(body)
        finally:
            with lock:
                MODELS.busy -= 1

    def load(self, body):
        if HOW == "crashes" and COUNT == "loading":
            print("CUDA out of memory", flush=True)
            os._exit(9)
        if "--enable-lora" not in sys.argv:
            return self.send(400, {"error": {"message": "LoRA is not enabled"}})
        if why := MODELS.load(body["lora_name"], body["lora_path"]):
            return self.send(500, {"error": {"message": why}})
        print("loaded", body["lora_name"], flush=True)
        self.send(200, f"Success: LoRA adapter '{body['lora_name']}' added successfully.")

    def complete(self, body):
        if MODELS.model_of(body["model"]) is None:
            return self.send(404, {"error": {"message": f"no model {body['model']}"}})
        ids = body["prompt"]
        time.sleep(0.002)  # requests that are sent together overlap
        if body.get("echo"):
            values = [None, *MODELS.scores(body["model"], ids), -1.0]
            told = {"token_logprobs": values, "top_logprobs": []}
        else:
            cached = "cache_salt" not in body
            told = {"top_logprobs": [MODELS.next(body["model"], ids, cached)]}
        self.send(200, {"model": body["model"], "choices": [{"text": "", "logprobs": told}]})

    def tokenize(self, body):
        if "prompt" in body:
            return self.send(200, {"tokens": ids_of(body["prompt"])})
        ids = []
        for message in body["messages"]:
            ids += [1, *ids_of(message["content"]), 2, 3]
        self.send(200, {"tokens": ids + [4] * body["add_generation_prompt"]})

    def chat(self, body):
        if MODELS.model_of(body["model"]) is None:
            return self.send(404, {"error": {"message": f"no model {body['model']}"}})
        with lock:
            MODELS.answers += 1
            if HOW == "crashes" and COUNT.isdigit() and MODELS.answers > int(COUNT):
                print("CUDA out of memory", flush=True)
                os._exit(9)
        text = body["messages"][-1]["content"]
        answer = "yes" if "good" in text else "no"
        if "chat_template_kwargs" in body:
            print("switched", json.dumps(body["chat_template_kwargs"]), flush=True)
        if HOW == "batch":
            time.sleep(0.02)
            answer += " together" if MODELS.busy > 1 else ""
        if body["model"] != NAME:
            answer = f"tuned {answer}"
        message = {"role": "assistant", "content": answer}
        self.send(200, {"model": MODELS.served(body["model"]),
                        "choices": [{"message": message, "finish_reason": "stop"}],
                        "usage": {"prompt_tokens": MODELS.read(body["messages"]),
                                  "completion_tokens": 1}})  # fmt: skip

    def log_message(self, *_):
        pass


print("stand-in with", " ".join(sys.argv[1:]), flush=True)
if HOW == "dies":
    print("ValueError: no such weights", flush=True)
    sys.exit(3)
if HOW == "hangs":
    time.sleep(600)
if HOW == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if HOW == "child":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("child", child.pid, flush=True)
ThreadingHTTPServer(("127.0.0.1", int(OPTIONS["--port"])), Handler).serve_forever()
