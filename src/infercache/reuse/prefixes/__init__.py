"""Prompt prefixes: the attention keys and values of tokens that were seen before."""
