"""Failure modes of training and inference, one a file: how to plant, detect and repair them."""
