"""Output of a study: terminal, one HTML page, JSON, CSV, JUnit. Computes no statistics."""
