"""Settle a tentative verdict by labelling only the inputs on which its finalists disagree."""
