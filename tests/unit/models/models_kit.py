"""Tiny random-weight models of several families, and a server with scripted faults."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tuneworthy.models.local.wheel import locate
from tuneworthy.records.case import Message

EMBEDDED = locate()  # before the tests get a cache of their own

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXTS = [
    "The router I bought last week does not turn on, please help me with this today.",
    'Answer with a JSON object: {"customer": "Ann", "priority": "high", "items": [1, 2]}',
    "refund the laptop, it arrived broken; late delivery of a phone; lost warranty",
]
FAMILIES = ("llama", "qwen3", "gemma2", "gpt_neox", "mistral")
WIDER = (*FAMILIES[1:], "gemma3", "phi3", "olmo2")


def tiny_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet),
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        bos_token="<|im_start|>",
    )
    made.chat_template = TEMPLATE
    return made


def tiny_config(family, vocab):
    import transformers

    common = {
        "vocab_size": vocab, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 3,
        "num_attention_heads": 6, "max_position_embeddings": 512, "initializer_range": 0.3,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    grouped = {**common, "num_key_value_heads": 2}
    return {
        "llama": lambda: transformers.LlamaConfig(**grouped),
        "qwen2": lambda: transformers.Qwen2Config(**grouped | {"vocab_size": vocab + 1}),
        "qwen3": lambda: transformers.Qwen3Config(head_dim=16, **grouped),
        "gemma2": lambda: transformers.Gemma2Config(head_dim=8, sliding_window=256, **grouped),
        "gpt_neox": lambda: transformers.GPTNeoXConfig(**common),
        "mistral": lambda: transformers.MistralConfig(sliding_window=16, **grouped),
        "gemma3": lambda: transformers.Gemma3TextConfig(head_dim=8, sliding_window=16, **grouped),
        "phi3": lambda: transformers.Phi3Config(**grouped),
        "olmo2": lambda: transformers.Olmo2Config(**grouped),
    }[family]()


def build(family, folder, seed=0):
    import torch
    import transformers

    tokenizer = tiny_tokenizer()
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(tiny_config(family, len(tokenizer)))
    if family == "qwen2":  # its queries, keys and values have a bias, which begins at zero
        for name, weight in model.named_parameters():
            if name.endswith(".bias"):
                torch.nn.init.normal_(weight, 0, 0.3)
    model.float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def ask(*texts, system="You help with orders. Be short and precise, and say what is known."):
    head = [Message(role="system", content=system)] if system else []
    return [[*head, Message(role="user", content=text)] for text in texts]


WORDS = TEXTS[0].split()
PROMPTS = ask(*(" ".join(WORDS[: 1 + k % 14]) + f" {k}" for k in range(17)))


def make_adapter(engine, folder, *, seed=1, zero=False, weights=None):
    """Write a PEFT adapter of this model's linear layers, with our manifest beside it."""
    import copy

    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    wrapped = get_peft_model(copy.deepcopy(engine.module), config).eval()
    if not zero:
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                weight.data.normal_(0, 0.1)
    wrapped.save_pretrained(folder)
    base = weights or engine.fingerprint["weights"]
    (folder / "tuneworthy.json").write_text(json.dumps({"schema": 1, "base": {"weights": base}}))
    return wrapped


class Server:
    """An OpenAI-compatible server that plays a list of turns; the last one is repeated."""

    def __init__(self, turns):
        self.turns, self.seen, self.lock = list(turns), [], threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                size = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(size))
                with outer.lock:
                    outer.seen.append(
                        {
                            "body": body,
                            "headers": {k.lower(): v for k, v in self.headers.items()},
                            "path": self.path,
                        }
                    )
                    turn = outer.turns.pop(0) if len(outer.turns) > 1 else outer.turns[0]
                turn = turn(body) if callable(turn) else turn
                self.play(turn)

            def play(self, turn):
                time.sleep(turn.get("sleep", 0))
                raw = turn.get("raw")
                data = raw if raw is not None else json.dumps(turn.get("json", {})).encode()
                self.send_response(turn.get("status", 200))
                for name, value in turn.get("headers", {}).items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(turn.get("promise", len(data))))
                self.end_headers()
                try:
                    for start in range(0, len(data), turn.get("piece", 10**9)):
                        self.wfile.write(data[start : start + turn.get("piece", 10**9)])
                        self.wfile.flush()
                        time.sleep(turn.get("drip", 0))
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads, self.http.block_on_close = True, False
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def says(text="yes", **more):
    usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    for key in ("finish_reason", "message"):
        if key in more:
            choice[key] = more.pop(key)
    return {"json": {"model": "m-1", "choices": [choice], "usage": usage, **more}}
