"""Rendering, the flat training loop and adapters. Knows no metric and no arm."""
