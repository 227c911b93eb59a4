"""Training losses of answer tokens other than the answer's likelihood.

An objective is prepared once for a run's encoded rows; then it computes each answer token's loss
from the logits. Knows no arm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tuneworthy.models.train.training_data import EncodedExample, Example, TokenLoss
from tuneworthy.records.record import digest


@dataclass(frozen=True)
class WeightedTokens:
    """A training loss: cross-entropy times a weight per row, by example id (1 for other rows)."""

    weights: Mapping[str, float]

    @property
    def about(self) -> dict[str, Any]:
        """Return the name of the loss and a digest of its weights."""
        return {"loss": "weighted", "weights": digest(dict(sorted(self.weights.items())), 16)}

    def prepared(self, examples: Sequence[Example], rows: Sequence[EncodedExample]) -> TokenLoss:
        """Return the loss function for these rows; equal rows get the weight of the last one."""
        by_row = {
            row: self.weights.get(example.id, 1.0)
            for example, row in zip(examples, rows, strict=True)
        }

        def loss(logits: Any, batch: Sequence[EncodedExample]) -> Any:
            each = [by_row[row] for row in batch for _ in range(row.trained)]
            return likelihood_loss(logits, batch) * torch.tensor(each, device=logits.device)

        return loss


def likelihood_loss(logits: Any, rows: Sequence[EncodedExample]) -> Any:
    """Return the negative log-likelihood (nats) of each row's tokens from `loss_start` on."""
    targets = [token for row in rows for token in row.ids[row.loss_start :]]
    return cross_entropy(logits, torch.tensor(targets, device=logits.device), reduction="none")
