"""Find passages that answer a question: chunks, BM25, vectors, fusion. Knows no arm, no metric."""
