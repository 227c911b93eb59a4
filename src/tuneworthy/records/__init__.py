"""Frozen records that every package reads and writes. Opens no files and loads no models."""
