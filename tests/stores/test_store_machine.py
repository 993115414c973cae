"""Random sequences of operations leave every store equal to a dict."""

from __future__ import annotations

import shutil
import tempfile

from hypothesis import settings

from infercache.stores.base import Store
from infercache.stores.directory import DirectoryStore
from infercache.stores.memory import MemoryStore
from infercache.testing.state_machine import StoreMachine

_FEW = settings(max_examples=60, stateful_step_count=25, deadline=None)


class MemoryMachine(StoreMachine):
    def make_store(self) -> Store:
        return MemoryStore()


class DirectoryMachine(StoreMachine):
    folder = ""

    def make_store(self) -> Store:
        self.folder = self.folder or tempfile.mkdtemp(prefix="infercache-test-")
        return DirectoryStore(self.folder + "/store", map_bytes=128 * 1024)

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = _FEW
TestDirectoryMachine = DirectoryMachine.TestCase
TestDirectoryMachine.settings = _FEW
