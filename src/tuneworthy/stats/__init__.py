"""Bounds, power and summaries on numpy and scipy arrays; no records, files or models."""
