"""Readers of what other caches left on disk; nothing that is read is executed."""
