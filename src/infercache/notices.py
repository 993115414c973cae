"""Says that something was skipped, and never breaks the work for it."""

from __future__ import annotations

import logging
import warnings

from infercache.errors import InfercacheWarning


def warn(sentence: str, stacklevel: int = 2) -> None:
    """Warn with `InfercacheWarning`; thread-safe.

    Whoever turns warnings into errors means their own calls: raised here, in the middle of a
    lookup or in a background thread, one would lose a value. It is logged instead then, under
    the logger "infercache".
    """
    try:
        warnings.warn(sentence, InfercacheWarning, stacklevel=stacklevel + 1)
    except InfercacheWarning:
        logging.getLogger("infercache").warning(sentence)
