"""Text encoders of transformers that are tuned: open one, compute vectors, save and load a head.

A tuned encoder answers with its vectors and one linear head. Its folder holds safetensors and JSON
alone. Knows no task.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from tuneworthy.models.local.machine import calm_torch
from tuneworthy.models.local.weights import check_folder, check_safetensors
from tuneworthy.records.errors import ModelError, NotInstalled

try:
    calm_torch()
    import torch
    from safetensors.numpy import load_file, save_file

    from tuneworthy.models.local.opening import opened_encoder
except ImportError as missing:
    raise NotInstalled(
        "tuning an encoder needs the extra `train`",
        got=str(missing),
        fix="pip install 'tuneworthy[train]' (on Linux without a GPU, install the CPU build of "
        "torch first)",
    ) from missing

HEAD_FILE, LABELS_FILE = "head.safetensors", "head.json"
_BATCH_ROWS = 32


@dataclass
class TextEncoder:
    """An encoder: a text's vector is the mean of its token vectors, scaled to length 1.

    A text is cut to `most` tokens, [CLS] and [SEP] included.
    """

    module: Any
    tokenizer: Any
    most: int

    @classmethod
    def read(cls, folder: Path, most: int) -> TextEncoder:
        """Open the encoder in a folder; it never reads more tokens than it has positions.

        Raises ModelError, SecurityError or NumericError.
        """
        tokenizer, module = opened_encoder(folder, check_folder(folder))
        if tokenizer.pad_token is None:
            raise ModelError(
                "the tokenizer pads nothing, so rows can't be read together",
                where=str(folder),
                fix="choose an encoder (BERT, ModernBERT, DeBERTa …)",
            )
        places = getattr(module.config, "max_position_embeddings", most)
        return cls(module, tokenizer, min(most, places, tokenizer.model_max_length))

    def vectors(self, texts: Sequence[str]) -> Any:
        """Return the vectors of a batch as a tensor [len(texts), size] with its gradient."""
        read = self.tokenizer(list(texts), padding=True, truncation=True, max_length=self.most,
                              return_tensors="pt")  # fmt: skip
        hidden = self.module(**read).last_hidden_state
        kept = read["attention_mask"][..., None].to(hidden.dtype)
        return torch.nn.functional.normalize((hidden * kept).sum(1) / kept.sum(1).clamp(min=1))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return [len(texts), size] float32, each row of length 1; train nothing."""
        self.module.eval()
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        rows = np.zeros((len(texts), self.module.config.hidden_size), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), _BATCH_ROWS):
                batch = order[start : start + _BATCH_ROWS]
                rows[batch] = self.vectors([texts[at] for at in batch]).numpy()
        return rows

    def cut(self, texts: Sequence[str]) -> int:
        """Return the number of texts that exceed the token limit, so that they are cut."""
        ids = self.tokenizer(list(texts), verbose=False)["input_ids"] if texts else []
        return sum(len(row) > self.most for row in ids)


@dataclass
class TunedEncoder:
    """A tuned encoder with a linear head; it has the two members of a classifier that arms read."""

    encoder: TextEncoder
    classes_: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    tuned_from: str

    def predict_proba(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each label, [len(vectors), labels]."""
        table: NDArray[np.float32] = softmax(vectors @ self.weight.T + self.bias, axis=1)
        return table

    def save(self, folder: Path) -> None:
        """Write the encoder, its tokenizer and the head into a new folder."""
        folder.mkdir(parents=True)
        self.encoder.module.save_pretrained(folder)
        self.encoder.tokenizer.save_pretrained(folder)
        # safetensors writes the memory of an array as it lies there, whatever its strides
        head = {"weight": self.weight, "bias": self.bias}
        head = {name: np.ascontiguousarray(part, np.float32) for name, part in head.items()}
        save_file(head, folder / HEAD_FILE)
        about = {"labels": self.classes_, "tokens": self.encoder.most, "from": self.tuned_from}
        (folder / LABELS_FILE).write_text(json.dumps(about, ensure_ascii=False, indent=1), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> TunedEncoder:
        """Open a folder that `save` wrote. Raises ModelError, SecurityError or NumericError."""
        with _damaged(folder / LABELS_FILE):
            about = json.loads((folder / LABELS_FILE).read_text("utf-8"))
            labels, most, origin = tuple(about["labels"]), int(about["tokens"]), str(about["from"])
        encoder = TextEncoder.read(folder, most)
        with _damaged(folder / HEAD_FILE):
            check_safetensors(folder / HEAD_FILE)
            head = load_file(folder / HEAD_FILE)
            shape = (len(labels), encoder.module.config.hidden_size)
            if head["weight"].shape != shape or head["bias"].shape != shape[:1]:
                raise ValueError(f"the weights are not those of {shape[0]} labels")
            if not all(np.isfinite(table).all() for table in head.values()):
                raise ValueError("the weights hold values that are not finite")
        return cls(encoder, labels, head["weight"], head["bias"], origin)


@contextmanager
def _damaged(file: Path) -> Iterator[None]:
    """Raise what reading a file of the head raises as a ModelError that names the file."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError("the head of a tuned encoder can't be read", where=str(file),
                         got=f"{type(error).__name__}: {error}",
                         fix="build it again: `tuneworthy build`") from error  # fmt: skip
