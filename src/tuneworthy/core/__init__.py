"""The nouns: frozen records that every other room reads and writes. Knows no files, models or statistics."""
