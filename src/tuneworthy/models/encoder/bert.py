"""Compute a sentence vector from token ids: the forward pass of a BERT encoder in numpy.

It takes one text at a time: without padding, batching gains little (1.2 times, measured), and a
text's vector never depends on the other texts.

After Devlin et al. 2018; mean pooling and length 1 as in Reimers and Gurevych 2019 (Sentence-BERT).
Knows no text and no task.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from tuneworthy.models.local.model_files import read_json

Floats = NDArray[np.float32]


class Bert:
    """An encoder read from a checked folder with config.json and model.safetensors (float32)."""

    def __init__(self, folder: Path) -> None:
        """Read config and weights of the encoder in `folder`.

        Raises KeyError, TypeError or ValueError if they are not those of a BERT encoder with GELU.
        """
        config = read_json(folder / "config.json")
        if config["hidden_act"] != "gelu" or config["model_type"] != "bert":
            raise ValueError("no BERT encoder with GELU")
        self.size: int = config["hidden_size"]
        self.heads: int = config["num_attention_heads"]
        self.longest: int = config["max_position_embeddings"]
        self._epsilon = np.float32(config["layer_norm_eps"])
        weights = read_floats(folder / "model.safetensors")
        _check_weights(weights, config)
        first = "embeddings."
        self._words = weights[f"{first}word_embeddings.weight"]
        self._places = (
            weights[f"{first}position_embeddings.weight"]
            + weights[f"{first}token_type_embeddings.weight"][0]
        )
        self._norm = _weight_and_bias(weights, f"{first}LayerNorm")
        layers = range(config["num_hidden_layers"])
        self._layers = [_layer_matrices(weights, f"encoder.layer.{at}.") for at in layers]

    def vector(self, ids: Sequence[int]) -> Floats:
        """Return the text's vector [size]: the mean of its token vectors, scaled to length 1."""
        hidden = self._layer_norm(self._words[list(ids)] + self._places[: len(ids)], self._norm)
        for layer in self._layers:
            hidden = self._layer_norm(hidden + self._attention_output(hidden, layer), layer["seen"])
            inner = _gelu(_linear(hidden, layer["grow"]))
            hidden = self._layer_norm(hidden + _linear(inner, layer["shrink"]), layer["out"])
        mean = hidden.mean(0)
        scaled: Floats = mean / max(np.sqrt(mean @ mean), np.float32(1e-12))
        return scaled

    def _attention_output(self, hidden: Floats, layer: dict[str, Any]) -> Floats:
        heads = _linear(hidden, layer["ask"]).reshape(len(hidden), 3, self.heads, -1)
        query, key, value = heads.transpose(1, 2, 0, 3)
        score = query @ key.transpose(0, 2, 1) / np.float32(query.shape[-1] ** 0.5)
        share = np.exp(score - score.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        mixed = (share @ value).transpose(1, 0, 2).reshape(hidden.shape)
        return _linear(mixed, layer["answer"])

    def _layer_norm(self, x: Floats, by: tuple[Floats, Floats]) -> Floats:
        x = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((x * x).mean(-1, keepdims=True) + self._epsilon)
        normed: Floats = x / spread * by[0] + by[1]
        return normed


def _check_weights(weights: dict[str, Floats], config: dict[str, Any]) -> None:
    """Raise ValueError if the weights do not match the config or are not finite."""
    size, inner = config["hidden_size"], config["intermediate_size"]
    if size < 1 or size % config["num_attention_heads"] or config["num_hidden_layers"] < 1:
        raise ValueError("the config names sizes that no encoder has")
    shapes = {"attention.self.query": (size, size), "attention.self.key": (size, size),
              "attention.self.value": (size, size), "attention.output.dense": (size, size),
              "intermediate.dense": (inner, size), "output.dense": (size, inner)}  # fmt: skip
    for at in range(config["num_hidden_layers"]):
        for name, shape in shapes.items():
            if weights[f"encoder.layer.{at}.{name}.weight"].shape != shape:
                raise ValueError(f"layer {at}: {name} is not {shape}")
    if weights["embeddings.position_embeddings.weight"].shape[0] < config[
        "max_position_embeddings"
    ] or any(table.shape[-1] != size for name, table in weights.items() if "embeddings" in name):
        raise ValueError("the embeddings are not those of the config")
    if not all(np.isfinite(table).all() for table in weights.values()):
        raise ValueError("the weights hold values that are not finite")


def read_floats(file: Path) -> dict[str, Floats]:
    """Return the float32 tensors of a checked safetensors file by name; skip other dtypes."""
    with file.open("rb") as opened:
        length = struct.unpack("<Q", opened.read(8))[0]
        header = json.loads(opened.read(length))
    data = np.memmap(file, np.uint8, "r", offset=8 + length)
    tensors: dict[str, Floats] = {}
    for name, tensor in header.items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            low, high = tensor["data_offsets"]
            tensors[name] = np.array(data[low:high]).view("<f4").reshape(tensor["shape"])
    return tensors


def _layer_matrices(weights: dict[str, Floats], lead: str) -> dict[str, Any]:
    """Return a layer's (weight, bias) pairs, with query, key and value concatenated."""
    three = [
        _weight_and_bias(weights, f"{lead}attention.self.{name}")
        for name in ("query", "key", "value")
    ]
    ask = np.concatenate([pair[0] for pair in three]), np.concatenate([pair[1] for pair in three])
    linear = {
        "ask": ask,
        "answer": _weight_and_bias(weights, f"{lead}attention.output.dense"),
        "grow": _weight_and_bias(weights, f"{lead}intermediate.dense"),
        "shrink": _weight_and_bias(weights, f"{lead}output.dense"),
    }
    transposed = {name: (np.ascontiguousarray(w.T), b) for name, (w, b) in linear.items()}
    return {
        **transposed,
        "seen": _weight_and_bias(weights, f"{lead}attention.output.LayerNorm"),
        "out": _weight_and_bias(weights, f"{lead}output.LayerNorm"),
    }


def _weight_and_bias(weights: dict[str, Floats], name: str) -> tuple[Floats, Floats]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _linear(x: Floats, by: tuple[Floats, Floats]) -> Floats:
    out: Floats = x @ by[0] + by[1]
    return out


def _gelu(x: Floats) -> Floats:
    out: Floats = np.float32(0.5) * x * (1 + erf(x * np.float32(0.5**0.5)))
    return out
