"""What a project says about airlock itself: `[tool.airlock]` of its pyproject.toml, or airlock.toml beside the ini."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airlock.records.errors import Usage

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover  the same library, before it was Python's own
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OWN_FILE = "airlock.toml"
# Variables by which the section of the ini and Alembic's --tag reach every process that runs env.py.
SECTION, TAG = "AIRLOCK_NAME", "AIRLOCK_TAG"
# The same of the SQL that stands in scratch before the first revision.
BEFORE = "AIRLOCK_BEFORE"
# And of the function that sets in the configuration what the project's own program sets there.
CONFIGURE = "AIRLOCK_CONFIGURE"
# What is accepted under it is accepted of every revision. Alembic takes as few characters for an id.
EVERY_REVISION = "*"
_SHORTEST_ID = 4
# House rules are a house's own: off until it says otherwise. The others ask what every deployment wants to know.
RULES = {
    "docstring": False, "imports": False, "fill in": True, "heads": True, "models": True, "danger": True, "proof": True,
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What one file says. `options` are defaults of the command line, by command ("" is every command)."""

    file: Path | None = None
    rules: Mapping[str, bool] = field(default_factory=lambda: dict(RULES))
    configure: str | None = None
    since: str | None = None
    baseline: Path | None = None
    accepted: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def reasons(self, revision: str) -> dict[str, str]:
        """Gather what is accepted of a revision: of every one, of its id's first characters, of itself; the last wins."""
        near = [
            name for name in self.accepted
            if len(name) >= _SHORTEST_ID and name != revision and revision.startswith(name)
        ]  # fmt: skip
        return {
            finding: reason
            for name in (EVERY_REVISION, *sorted(near, key=len), revision)
            for finding, reason in self.accepted.get(name, {}).items()
        }


def read(directory: Path, commands: frozenset[str] | None = None, *, also: Path | None = None) -> Settings:
    """Read airlock.toml of a directory, else `[tool.airlock]` of its pyproject.toml; nothing said where neither is.

    `also` is looked into where the directory has neither.

    `commands` are the names that may head a table of options; without them, any may. Raises Usage for what is no TOML or
    not known.
    """
    for file in (
        one / name for one in (directory, also or directory) for name in (OWN_FILE, "pyproject.toml")
    ):
        if not file.is_file():
            continue
        try:
            table: Any = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Usage(f"{file.name} is no TOML: {error}.") from error
        # In airlock.toml the tables stand bare, or headed as in pyproject.toml.
        if file.name != OWN_FILE or "tool" in table:
            table = table.get("tool", {}).get("airlock")
            if table is None:
                continue
        return _settings(file, table, commands)
    return Settings()


def _settings(file: Path, table: Any, commands: frozenset[str] | None) -> Settings:
    if not isinstance(table, dict):
        raise Usage(f"{file.name}: [tool.airlock] is no table.")
    rest = dict(table)
    rules = _table(file, "rules", rest.pop("rules", {}))
    spelt = {name.replace("-", " ").replace("_", " "): wanted for name, wanted in rules.items()}
    for name, wanted in spelt.items():
        if name not in RULES or not isinstance(wanted, bool):
            known = ", ".join(name.replace(" ", "-") for name in RULES)
            raise Usage(
                f"{file.name}: rules.{name} is no rule that is true or false.", then=f"one of {known}"
            )
    accepted = _table(file, "accepted", rest.pop("accepted", {}))
    for revision, reasons in accepted.items():
        for finding, reason in _table(file, f"accepted.{revision}", reasons).items():
            if not isinstance(reason, str) or not reason.strip():
                raise Usage(f"{file.name}: accepted.{revision}.{finding!r} gives no reason.")
    since, baseline = (_text(file, name, rest.pop(name, None)) for name in ("since", "baseline"))
    # An option of all commands, too; read here for whoever opens the project without a command line.
    configure = _text(file, "configure", rest.get("configure"))
    if "before" in rest:
        rest["before"] = str(file.parent / str(_text(file, "before", rest["before"])))
    options: dict[str, dict[str, Any]] = {"": {}}
    for name, value in rest.items():
        if isinstance(value, dict):
            if commands is not None and name not in commands:
                raise Usage(f"{file.name}: airlock knows no command {name!r} to set options of.")
            options[name] = {key.replace("-", "_"): one for key, one in value.items()}
        else:
            options[""][name.replace("-", "_")] = value
    return Settings(
        file,
        {**RULES, **spelt},
        configure,
        since,
        file.parent / baseline if baseline else None,
        accepted,
        options,
    )


def _table(file: Path, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Usage(f"{file.name}: {name} is no table.")
    return value


def _text(file: Path, name: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise Usage(f"{file.name}: {name} is no text.")
    return value
