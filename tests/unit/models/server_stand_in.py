"""A server in place of vLLM: its command line, its health, its models, scripted answers.

STAND_IN: "" for a good one; `dies`, `hangs`, `stubborn` (ignores SIGTERM), `other` (serves another
model), `crashes N` (ends after N answers), `child` (starts a process of its own).
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOW, _, COUNT = os.environ.get("STAND_IN", "").partition(" ")
OPTIONS = dict(zip(sys.argv, sys.argv[1:], strict=False))
NAME = OPTIONS["--served-model-name"]
answered, lock = 0, threading.Lock()


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
        global answered
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != f"Bearer {os.environ['VLLM_API_KEY']}":
            return self.send(401, {"error": {"message": "no key"}})
        if body["model"] != NAME:
            return self.send(404, {"error": {"message": f"no model {body['model']}"}})
        with lock:
            answered += 1
            if HOW == "crashes" and answered > int(COUNT):
                print("CUDA out of memory", flush=True)
                os._exit(9)
        text = body["messages"][-1]["content"]
        answer = "yes" if "good" in text else "no"
        message = {"role": "assistant", "content": answer}
        self.send(200, {"model": NAME, "choices": [{"message": message, "finish_reason": "stop"}],
                        "usage": {"prompt_tokens": 9, "completion_tokens": 1}})  # fmt: skip

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
