"""What a training run minimises at each answer token, where that is not the answer's likelihood.

An objective is prepared once for the rendered rows of a run, and then gives the loss of each answer
token from the logits. Knows no arm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tuneworthy.core.record import digest
from tuneworthy.training.render import EncodedExample
from tuneworthy.training.training_data import Example, TokenLoss


@dataclass(frozen=True)
class WeightedTokens:
    """Cross-entropy with a weight for each row, by the id of its example (1 without one)."""

    weights: Mapping[str, float]

    @property
    def about(self) -> dict[str, Any]:
        """Return the name of the loss and a digest of its weights."""
        return {"loss": "weighted", "weights": digest(dict(sorted(self.weights.items())), 16)}

    def prepared(self, examples: Sequence[Example], rows: Sequence[EncodedExample]) -> TokenLoss:
        """Return the loss for these rows; equal rows share the weight of the last."""
        by_row = {
            row: self.weights.get(example.id, 1.0)
            for example, row in zip(examples, rows, strict=True)
        }

        def loss(logits: Any, batch: Sequence[EncodedExample]) -> Any:
            each = [by_row[row] for row in batch for _ in range(row.trained)]
            return likelihood_loss(logits, batch) * torch.tensor(each, device=logits.device)

        return loss


def likelihood_loss(logits: Any, rows: Sequence[EncodedExample]) -> Any:
    """Return the negative log-likelihood (nats) of each counted token of some rows."""
    targets = [token for row in rows for token in row.ids[row.start :]]
    return cross_entropy(logits, torch.tensor(targets, device=logits.device), reduction="none")
