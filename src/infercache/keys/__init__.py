"""Content keys: the same value gives the same key in every process and on every machine."""

from __future__ import annotations

from infercache.keys.arguments import Arguments
from infercache.keys.files import File, content_of
from infercache.keys.functions import code_version
from infercache.keys.registry import register_key
from infercache.keys.space import KeySpace

__all__ = ["Arguments", "File", "KeySpace", "code_version", "content_of", "register_key"]
