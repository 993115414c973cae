"""Every store that comes with the library keeps the contract."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infercache.stores.directory import DirectoryStore
from infercache.stores.memory import MemoryStore
from infercache.testing.shared_store_kit import SharedStoreContract
from infercache.testing.store_kit import MakeStore, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        return MemoryStore


class TestDirectoryOnDisk(SharedStoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        return lambda: DirectoryStore(tmp_path / "store")


class TestDirectoryOnSharedMemory(SharedStoreContract):
    @pytest.fixture
    def make_store(self) -> Iterator[MakeStore]:
        folder = tempfile.mkdtemp(prefix="infercache-test-", dir="/dev/shm")
        yield lambda: DirectoryStore(Path(folder) / "store")
        shutil.rmtree(folder)


class TestDirectoryWithAllValuesInFiles(SharedStoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        return lambda: DirectoryStore(tmp_path / "store", inline_bytes=0)
