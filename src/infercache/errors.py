"""The exception tree; every error that infercache raises on purpose is one of these.

InfercacheError
├── SettingError (ValueError)         a setting, size, duration or name that cannot be used
├── MissingExtraError (ImportError)   a driver that is not installed; says which extra to install
├── UnkeyableError (TypeError)        an argument that has no content key; says which and where
├── KeySpaceError (ValueError)        a key used with a namespace that it was not made for
├── CodecError
│   ├── EncodeError (TypeError)       a value that the codec cannot write
│   └── BlobError (ValueError)        bytes that failed verification; tiers turn it into a miss
├── StoreError (OSError)              an outage; only a guard may turn it into a miss
│   ├── StoreUnavailableError         unreachable, vanished, closed by the other side, too slow
│   ├── StoreFullError                no room on the device, or over the store's own limit
│   ├── ReadOnlyError                 the store was opened or mounted read-only
│   └── ForeignDirectoryError         the directory holds something that infercache did not write
├── ValueTooLargeError (ValueError)   a value that fits into no tier
├── BatchSizeError (ValueError)       a batch function returned more or fewer results than rows
├── ClosedError (RuntimeError)        the cache was closed
├── ComputationDiedError              the process that computed a value died and nobody took over
├── UnsupportedModelError (TypeError) a model whose attention layout is not known
├── TraceError (ValueError)           a trace file that cannot be read; says file and line
└── CheckError (AssertionError)       `check()` found accounts that do not add up

InfercacheWarning (UserWarning)       something was skipped, and the work went on without it
"""

from __future__ import annotations


class InfercacheError(Exception):
    """Base of all errors that infercache raises on purpose."""


class SettingError(InfercacheError, ValueError):
    """A setting, size, duration or name that cannot be used."""


class MissingExtraError(InfercacheError, ImportError):
    """A driver that is not installed; the message names the extra to install."""


class UnkeyableError(InfercacheError, TypeError):
    """An argument without a content key; the message names its type and where it sits."""


class KeySpaceError(InfercacheError, ValueError):
    """A key used with a namespace that it was not made for."""


class CodecError(InfercacheError):
    """A value could not be turned into bytes, or bytes into a value."""


class EncodeError(CodecError, TypeError):
    """A value that the codec cannot write."""


class BlobError(CodecError, ValueError):
    """Stored bytes that failed verification; tiers count it and turn it into a miss."""


class StoreError(InfercacheError, OSError):
    """A store could not do its work; only a guard may turn this into a miss."""


class StoreUnavailableError(StoreError):
    """The store is unreachable, vanished or too slow."""


class StoreFullError(StoreError):
    """No room is left on the device, or the put would pass the store's own limit."""


class ReadOnlyError(StoreError):
    """The store is open or mounted read-only."""


class ForeignDirectoryError(StoreError):
    """The directory holds something that infercache did not write."""


class ValueTooLargeError(InfercacheError, ValueError):
    """A value that fits into no tier."""


class BatchSizeError(InfercacheError, ValueError):
    """A batch function returned more or fewer results than it was given rows."""


class ClosedError(InfercacheError, RuntimeError):
    """The cache was closed."""


class ComputationDiedError(InfercacheError):
    """The process that computed a value died and no waiter could take over."""


class UnsupportedModelError(InfercacheError, TypeError):
    """A model whose attention layout is not known."""


class TraceError(InfercacheError, ValueError):
    """A trace file that cannot be read; the message names file and line."""


class CheckError(InfercacheError, AssertionError):
    """`check()` found accounts that do not add up."""


class InfercacheWarning(UserWarning):
    """Something was skipped, and the work went on without it."""
