"""Measure on your own rows whether fine-tuning is the right tool, and say so with evidence."""

__version__ = "0.1.0"
