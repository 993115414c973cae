"""Trace replay and advice."""
