"""Fake models of a server: log-probabilities from a hash, and faults that can be switched on.

A model is a text: `base`, or the content of an adapter's weights. The faults are named after what
a real server did wrong.
"""

import hashlib
import threading
from pathlib import Path

BASE = "base"


def logprobs(model, ids, first):
    """Return a log-probability of each id from `first` on, between -4 and 0."""
    found = []
    for at in range(first, len(ids)):
        told = hashlib.sha256(f"{model} {list(ids[: at + 1])}".encode()).digest()
        found.append(-4 * int.from_bytes(told[:4], "big") / 2**32)
    return found


def likeliest(model, ids):
    """Return five tokens and their log-probabilities."""
    return {f"t{n}": logprobs(model, [*ids, n], len(ids))[0] for n in range(5)}


class FakeModels:
    """Loads adapters, scores ids, keeps prefixes. `fault` is one of those in `FAULTS`."""

    def __init__(self, name, fault=""):
        self.name, self.fault = name, fault
        self.loaded, self.prefixes, self.busy, self.answers = {}, {}, 0, 0
        self.lock = threading.Lock()

    def load(self, name, folder):
        """Load an adapter's folder under a name; return why not, or ""."""
        if self.fault == "refused":
            return "LoRA rank 64 is greater than max_lora_rank 16"
        self.loaded[name] = Path(folder, "adapter_model.safetensors").read_text()
        return ""

    def model_of(self, name):
        """Return the model that answers under a name, None for an unknown name."""
        if name == self.name:
            changed = self.fault == "base changes" and self.loaded
            other = self.fault == "another base"
            return "merged" if changed else "other base" if other else BASE
        if name not in self.loaded:
            return None
        if self.fault == "ignored" or (self.fault == "dropped" and self.answers > 2):
            return BASE
        if self.fault == "wrong":
            return "the adapter of somebody else"
        first = next(iter(self.loaded.values()))
        return first if self.fault == "mixed" else self.loaded[name]

    def scores(self, name, ids, first=1):
        """Return the log-probabilities of ids; the server is noisy while it has other requests."""
        found = logprobs(self.model_of(name), ids, first)
        if self.fault == "noisy" and self.busy > 1:
            found = [value + 0.004 for value in found]
        return found

    def next(self, name, ids, cached):
        """Return the likeliest tokens; with `cached` perhaps from what another model read."""
        model, key = self.model_of(name), tuple(ids)
        if not cached or self.fault != "stale":
            return likeliest(model, ids)
        return likeliest(self.prefixes.setdefault(key, model), ids)

    def served(self, name):
        """Return the name in a reply."""
        return self.name if self.fault == "named" else name

    def read(self, messages):
        """Return the tokens of a prompt: one a word."""
        words = sum(len(m["content"].split()) for m in messages)
        return words + (self.fault == "rendered")
