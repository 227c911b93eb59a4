"""Which passages answer a question: chunks, BM25, vectors, fusion. Knows no arm and no metric."""
