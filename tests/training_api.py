"""A server in place of a training API: Tinker's routes, and a real LoRA run behind them.

It trains with PEFT and AdamW on a transformers model, in threads of this process. `fault` names
what goes wrong: `key`, `busy`, `lost` (an answer that never arrives), `fails N` (step N and all
later ones), `gone` (adapters vanish), `zero` (an adapter of zeros comes back), `state` (saved
states vanish). `log` has each step's rows as they were read.
"""

import copy
import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

KEY = "tml-a-secret-of-the-tests"


class Run:
    """One training run: a PEFT model and its optimizer."""

    def __init__(self, base, rank, seed):
        import torch
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=rank, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
        )
        torch.manual_seed(seed)
        self.model, self.rank = get_peft_model(copy.deepcopy(base), config).eval(), rank
        weights = [w for w in self.model.parameters() if w.requires_grad]
        self.optimizer = torch.optim.AdamW(weights, lr=1.0, weight_decay=0.0)

    def read(self, rows, train):
        """Return the log-probabilities of each row's targets; add the gradient if `train`."""
        import torch

        out = []
        for ids, targets, weights in rows:
            with torch.set_grad_enabled(train):
                logits = self.model(input_ids=torch.tensor([ids])).logits[0].float()
                values = logits.log_softmax(-1).gather(1, torch.tensor(targets)[:, None])[:, 0]
                if train:
                    (-(values * torch.tensor(weights)).sum()).backward()
            out.append(values.detach().numpy().astype(np.float32))
        return out

    def step(self, params):
        import torch

        weights = [w for w in self.model.parameters() if w.requires_grad]
        if params["grad_clip_norm"] > 0:
            torch.nn.utils.clip_grad_norm_(weights, params["grad_clip_norm"])
        for group in self.optimizer.param_groups:
            group |= {"lr": params["learning_rate"], "eps": params["eps"],
                      "betas": (params["beta1"], params["beta2"])}  # fmt: skip
        self.optimizer.step()
        self.optimizer.zero_grad()

    def files(self, zero):
        """Return the adapter's files as PEFT writes them."""
        from peft import get_peft_model_state_dict
        from safetensors.torch import save

        state = {k: v.detach().clone() for k, v in get_peft_model_state_dict(self.model).items()}
        if zero:
            state = {k: v * 0 if "lora_B" in k else v for k, v in state.items()}
        config = {"r": self.rank, "lora_alpha": 32, "peft_type": "LORA"}
        return {
            "adapter_model.safetensors": save(state),
            "adapter_config.json": json.dumps(config).encode(),
        }


class TrainingServer:
    """The server; `bases` are transformers models by name. Use as a context."""

    def __init__(self, bases, fault=""):
        self.bases, self.fault, self.lock = bases, fault, threading.RLock()
        self.runs, self.states, self.adapters, self.results = {}, {}, {}, {}
        self.seen, self.log, self.calls = {}, [], []
        self.numbers = itertools.count(1)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                owner.respond(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

            def do_GET(self):
                owner.respond(self, b"")

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def respond(self, request, body):
        path = request.path.removeprefix("/api/v1/")
        with self.lock:
            self.calls.append(path)
            code, kind, content = self._answer(request, path, body)
        if code is None:  # the connection breaks before the answer
            request.close_connection = True
            request.connection.close()
            return
        request.send_response(code)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _answer(self, request, path, body):
        if path.startswith("/files/"):
            assert "X-API-Key" not in request.headers, "a signed address gets no key"
            _, _, address, name = path.split("/", 3)
            return 200, "application/octet-stream", self.adapters[int(address)][name]
        if self.fault == "key" or request.headers.get("X-API-Key") != KEY:
            return self._json({"detail": f"no such key {KEY}"}, 401)
        if path == "forward_backward":
            return self._read(body)
        asked = json.loads(body) if body else {}
        name = path.split("/")[0]
        if name == "training_runs":
            return self._urls(path)
        if name == "retrieve_future":
            kind, value = self.results[asked["request_id"]]
            return (200, kind, value)
        answered = getattr(self, f"_{name}", None)
        return self._json(answered(asked) if answered else {})

    def _json(self, value, code=200):
        if isinstance(value, tuple):
            value, code = value
        return code, "application/json", json.dumps(value).encode()

    def _later(self, value, kind="application/json"):
        """Keep a result and return the promise that asks for it."""
        name = f"request-{next(self.numbers)}"
        self.results[name] = (
            kind,
            value if isinstance(value, bytes) else json.dumps(value).encode(),
        )
        return {"request_id": name}

    def _once(self, asked, make):
        """Answer a repeated request as the first time, by its sequence number."""
        key = (asked["model_id"], asked["seq_id"])
        if key not in self.seen:
            self.seen[key] = make()
        return self.seen[key]

    def _create_session(self, _):
        return {"type": "create_session", "session_id": f"session-{next(self.numbers)}"}

    def _session_heartbeat(self, _):
        return {"type": "session_heartbeat"}

    def _create_model(self, asked):
        if asked["base_model"] not in self.bases:
            return {"detail": f"no base model {asked['base_model']}"}, 404
        assert not asked["lora_config"]["train_unembed"]
        name = f"{asked['session_id']}:train:{asked['model_seq_id']}"
        shape = asked["lora_config"]
        self.runs[name] = Run(self.bases[asked["base_model"]], shape["rank"], shape["seed"])
        return self._later({"type": "create_model", "model_id": name})

    def _load_weights(self, asked):
        if self.fault == "state" or asked["path"] not in self.states:
            return {"detail": "no such checkpoint"}, 404
        name = f"{asked['session_id']}:train:{asked['model_seq_id']}"
        self.runs[name] = copy.deepcopy(self.states[asked["path"]])
        return self._later({"type": "load_weights", "path": asked["path"]})

    def _get_info(self, asked):
        return {"type": "get_info", "model_id": asked["model_id"], "is_lora": True,
                "model_data": {"model_name": "tiny", "arch": "llama", "tokenizer_id": "tiny"},
                "model_name": "tiny", "lora_rank": self.runs[asked["model_id"]].rank}  # fmt: skip

    def _read(self, body):
        from tinker.proto import tinker_public_pb2 as wire

        asked = wire.ForwardBackwardRequest()
        asked.ParseFromString(body)
        rows = []
        for datum in asked.data:
            (chunk,) = datum.model_input
            tokens = np.frombuffer(chunk.encoded_text.tokens, np.int32).tolist()
            parts = datum.loss_fn_inputs
            targets = np.frombuffer(parts["target_tokens"].dense, np.int64).tolist()
            weights = np.frombuffer(parts["weights"].dense, np.float32).tolist()
            rows.append((tokens, targets, weights))
        if self.fault == "busy":
            self.fault = ""
            return self._json({"detail": "too many requests"}, 429)
        number = len(self.log) + 1
        fails = int(self.fault.split()[1]) if self.fault.startswith("fails") else number + 1
        if number >= fails and not asked.forward_only:
            failed = {"error": f"out of machines, {KEY}", "category": "server"}
            return self._json(self._later(failed))
        key = (asked.model_id, asked.seq_id)
        if key not in self.seen:
            values = self.runs[asked.model_id].read(rows, not asked.forward_only)
            if not asked.forward_only:
                self.log.append(rows)
            self.seen[key] = self._later(self._output(wire, values), "application/x-protobuf")
            if self.fault == "lost" and not asked.forward_only:
                self.fault = ""
                return None, "", b""
        return self._json(self.seen[key])

    def _output(self, wire, values):
        offsets = np.cumsum([0, *(v.nbytes for v in values)]).astype(np.int64)
        record = wire.ArrayRecord(type_tag="x", num_datums=len(values))
        record.fields["logprobs"].CopyFrom(
            wire.BatchedTensor(data=b"".join(v.tobytes() for v in values),
                               offsets=offsets.tobytes(), dtype=wire.DTYPE_FLOAT32)
        )  # fmt: skip
        out = wire.ForwardBackwardOutput(
            loss_fn_output_type="ArrayRecord", loss_fn_outputs=[record]
        )
        return out.SerializeToString()

    def _optim_step(self, asked):
        def make():
            self.runs[asked["model_id"]].step(asked["adam_params"])
            return self._later({"type": "optim_step"})

        return self._once(asked, make)

    def _save_weights(self, asked):
        def make():
            address = f"tinker://{asked['model_id']}/weights/{asked['path']}"
            self.states[address] = copy.deepcopy(self.runs[asked["model_id"]])
            return self._later({"type": "save_weights", "path": address})

        return self._once(asked, make)

    def _save_weights_external(self, asked):
        def make():
            number = next(self.numbers)
            self.adapters[number] = self.runs[asked["model_id"]].files(self.fault == "zero")
            address = f"tinker://{asked['model_id']}/external_weights/{number}"
            return self._later({"type": "save_weights_external", "path": address})

        return self._once(asked, make)

    def _urls(self, path):
        number = int(path.split("/external_weights/")[1].split("/")[0])
        if self.fault == "gone":
            return self._json({"detail": "no such checkpoint"}, 404)
        urls = {name: f"{self.url}/files/{number}/{name}" for name in self.adapters[number]}
        return self._json({"urls": urls, "expires": "2030-01-01T00:00:00Z"})
