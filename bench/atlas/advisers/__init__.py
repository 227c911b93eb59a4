"""Advisers, one a file: `advise` returns a probability for each tool, from public facts."""
