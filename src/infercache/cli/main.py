"""Where the command `infercache` starts."""

from __future__ import annotations

import sys
import warnings
from typing import Any, NoReturn

from infercache.errors import InfercacheWarning

_NEEDED = ("click", "rich")


def main() -> NoReturn:
    """Run the command line, and exit: 0 for done, 2 for an error told in one sentence."""
    try:
        from infercache.cli.group import infercache
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        print("Command 'infercache' needs an extra: pip install 'infercache[cli]'", file=sys.stderr)
        raise SystemExit(2) from None
    warnings.showwarning = _show_warning
    infercache.main(prog_name="infercache")
    raise SystemExit(0)


_show_plainly = warnings.showwarning


def _show_warning(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
    """Our own warnings are for people: one sentence, no source line."""
    if issubclass(category, InfercacheWarning):
        print(f"Warning: {message}", file=sys.stderr)
    else:
        _show_plainly(message, category, *where, **more)


if __name__ == "__main__":
    main()
