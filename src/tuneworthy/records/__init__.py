"""Frozen records that every package reads and writes. Opens no files and loads no models."""

__version__ = "0.2.0"
