"""The append-only store of everything that was done. Knows no statistics and no model."""
