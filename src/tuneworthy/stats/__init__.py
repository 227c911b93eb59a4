"""Bounds, power and summaries: numpy and scipy only. Knows no records, files or models."""
