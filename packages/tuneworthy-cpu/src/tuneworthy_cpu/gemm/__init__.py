"""Matrix products of unpacked bf16 weights, and the thread pool that shares them."""
