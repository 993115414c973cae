"""Gathering settings: argument before environment before file before default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infercache.errors import SettingError
from infercache.settings.files import FILE_VARIABLE, read_file, settings_file
from infercache.settings.kinds import parse_value, show_value
from infercache.settings.table import SETTINGS, Setting, find_setting, nearest

_PREFIX = "INFERCACHE_"


@dataclass(frozen=True, slots=True)
class Origin:
    """A parsed value and where it came from ("default", "argument", a variable, file:line)."""

    value: Any = field(repr=False)
    where: str


@dataclass(frozen=True)
class Resolved:
    """Every setting, parsed, with its origin. Immutable.

    Attributes:
        origins: Setting name to value and origin; complete.
        file: The settings file that was read, or None.
    """

    origins: Mapping[str, Origin]
    file: Path | None = None

    def __getitem__(self, name: str) -> Any:
        return self.origins[name].value

    def section(self, section: str) -> dict[str, Any]:
        """Return the fields of one section, by constructor parameter."""
        return {row.field: self[row.name] for row in SETTINGS if row.section == section}

    def complain(self, name: str, sentence: str) -> SettingError:
        """Return an error about one setting that says where its value came from."""
        return SettingError(f"{name} ({self.origins[name].where}): {sentence}")

    def rows(self) -> Iterator[tuple[Setting, str, str]]:
        """Yield each setting, its value as people read it, and its origin."""
        for row in SETTINGS:
            origin = self.origins[row.name]
            yield row, show_value(row, origin.value), origin.where


def resolve(
    path: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolved:
    """Return all settings: argument, else environment, else file, else default.

    Args:
        path: The settings file; None for the one that `INFERCACHE_CONFIG` names, or
            `infercache.toml` in the working directory if there is one.
        overrides: Dotted or flat names to values.
        environ: The environment; None for this process's.

    Raises:
        SettingError: unknown, unparsable, or a secret in a file; says which and where from.
    """
    variables = dict(os.environ if environ is None else environ)
    file = settings_file(path, variables)
    origins = {row.name: Origin(_default(row), "default") for row in SETTINGS}
    if file is not None:
        for given in read_file(file):
            setting = find_setting(given.name, given.origin)
            _refuse_secret(setting, given.origin)
            origins[setting.name] = _parsed(setting, given.value, given.origin)
    for setting, text, variable in _from_environment(variables):
        origins[setting.name] = _parsed(setting, text, variable)
    for name, value in (overrides or {}).items():
        setting = find_setting(name, "argument")
        origins[setting.name] = _parsed(setting, value, "argument")
    return Resolved(origins, file)


def _parsed(setting: Setting, value: Any, where: str) -> Origin:
    return Origin(parse_value(setting, value, where), where)


def _default(setting: Setting) -> Any:
    return None if setting.default is None else parse_value(setting, setting.default, "default")


def _refuse_secret(setting: Setting, origin: str) -> None:
    if setting.is_secret:
        raise SettingError(
            f"{setting.name} ({origin}): a secret does not belong into a file; "
            f"set the variable {setting.variable}"
        )


def _from_environment(variables: Mapping[str, str]) -> Iterator[tuple[Setting, str, str]]:
    """Yield what the environment sets; an unknown INFERCACHE_ variable is a mistake."""
    known = {row.variable: row for row in SETTINGS}
    for variable in sorted(variables):
        if not variable.startswith(_PREFIX) or variable == FILE_VARIABLE:
            continue
        if variable not in known:
            name = variable.removeprefix(_PREFIX).lower()
            raise SettingError(
                f"unknown setting {name!r} (variable {variable}){nearest(name)}; "
                "`infercache settings` lists them all"
            )
        yield known[variable], variables[variable], f"variable {variable}"
