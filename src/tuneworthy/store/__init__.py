"""The append-only store of a study's results and costs. Independent of statistics and models."""
