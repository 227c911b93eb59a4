"""The nouns: frozen records that every room reads and writes. Knows no files or models."""
