"""What the options before the command say, for the commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from infercache.errors import SettingError
from infercache.settings import Resolved, find_setting, resolve

if TYPE_CHECKING:
    from infercache.cache import Cache


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of the command. Nothing is read before a command asks for it.

    Attributes:
        config: The settings file that was asked for, or None.
        assignments: What `--set` gave, as "name=value".
    """

    config: str | None
    assignments: tuple[str, ...]

    def settings(self) -> Resolved:
        """Return the settings, those of `--set` first."""
        return resolve(self.config, dict(map(_split, self.assignments)))

    def open_cache(self) -> Cache:
        """Return the configured cache."""
        from infercache.assemble import build_cache

        return build_cache(self.settings())

    def directories(self) -> Mapping[str, Path]:
        """Return the directory of each configured tier that has one."""
        from infercache.assemble import directories

        return directories(self.settings())


def _split(assignment: str) -> tuple[str, str]:
    name, equals, value = assignment.partition("=")
    if not equals:
        raise SettingError(f"--set {assignment!r}: write it as NAME=VALUE, such as ttl_s=7d")
    setting = find_setting(name.strip(), "--set")
    if setting.is_secret:
        raise SettingError(
            f"--set {setting.name}: a secret on the command line is seen by every process; "
            f"set the variable {setting.variable}"
        )
    return setting.name, value.strip()
