from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

from infercache.cache import Cache
from infercache.guards.base import Terms
from infercache.settings.kinds import KINDS
from infercache.settings.schema import json_schema, reference_page
from infercache.settings.table import SETTINGS
from infercache.tiers.specs import Disk, Memory, SharedMemory

# Terms that are functions, types or names of one namespace: no text can stand for them.
_CODE_ONLY = {"keep_exceptions", "keep_if", "tags"}


def test_flat_names_and_variables_are_unique() -> None:
    assert len({row.flat for row in SETTINGS}) == len(SETTINGS)
    assert len({row.variable for row in SETTINGS}) == len(SETTINGS)


def test_every_setting_has_a_known_kind_and_one_sentence_of_help() -> None:
    for row in SETTINGS:
        assert row.kind in KINDS, row.name
        assert row.help.endswith("."), row.name
        assert (row.kind == "choice") == bool(row.choices), row.name


@pytest.mark.parametrize(
    ("section", "spec"), [("memory", Memory), ("shared_memory", SharedMemory), ("disk", Disk)]
)
def test_every_parameter_of_a_tier_is_a_setting_with_the_same_default(
    section: str, spec: type[Any]
) -> None:
    fields = {field.name: field.default for field in dataclasses.fields(spec)}
    del fields["name"]
    rows = {row.field: row.default for row in SETTINGS if row.section == section}
    assert set(rows) == {*fields, "enabled"}
    for name, default in fields.items():
        if default is not dataclasses.MISSING:
            assert rows[name] == default, name


def test_every_term_that_can_be_written_is_a_setting() -> None:
    rows = {row.name: row.default for row in SETTINGS if not row.section}
    own = {"scope", "digest", "secret"}
    assert own <= set(inspect.signature(Cache).parameters)
    assert set(rows) - own == {field.name for field in dataclasses.fields(Terms)} - _CODE_ONLY
    defaults = {field.name: field.default for field in dataclasses.fields(Terms)}
    for name in set(rows) - own - {"ttl_s"}:
        assert rows[name] == defaults[name], name


def test_the_schema_and_the_page_name_every_setting() -> None:
    schema = json_schema()["properties"]
    page = reference_page()
    for row in SETTINGS:
        assert f"`{row.name}`" in page
        assert row.variable in page
        if row.is_secret:
            assert row.name not in schema
        else:
            section = schema[row.section]["properties"] if row.section else schema
            assert row.help == section[row.field]["description"]
