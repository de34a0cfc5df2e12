"""An Alembic project: its ini, its history, and the ranges a command may name.

Reads files and imports revision modules; touches no database and does not run env.py.
"""

from __future__ import annotations

import dataclasses
import gc
import inspect
import os
import re
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import alembic
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util.exc import CommandError

from airlock.project import titles, while_loaded
from airlock.project.output import to_standard_error
from airlock.project.place import keeps_scripts_beside_itself, working_directory
from airlock.project.settings import CONFIGURE, SECTION, TAG, Settings
from airlock.project.settings import read as read_settings
from airlock.records import dataclass
from airlock.records.errors import MISSING_MODULE, AirlockError, HistoryFault, Usage, missing_module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class RevisionFacts:
    """One revision file: what it is, and what it says of itself.

    `irreversible`, `resumable`, `kept` and `accepted` are plain module-level names of the revision:
    why it cannot be undone; whether it may be rerun half-way; what its downgrade keeps, by object;
    which findings are excused, by finding (there or in the settings). `downgrades`: it has the function at all.
    """

    revision: str
    down_revisions: tuple[str, ...]
    depends_on: tuple[str, ...]
    branch_labels: tuple[str, ...]
    title: str
    doc: str
    path: Path
    irreversible: str | None = None
    resumable: bool = False
    kept: Mapping[str, str] = dataclasses.field(default_factory=dict)
    accepted: Mapping[str, str] = dataclasses.field(default_factory=dict)
    downgrades: bool = True


# What makes a file a revision for Alembic: the two names that it must have.
_A_REVISION = re.compile(r"^revision\b[^=\n]*=[\s\S]*^down_revision\b[^=\n]*=", re.MULTILINE)
# A version table made or widened by hand: its column named, or the method of Alembic's that makes it.
_ITS_COLUMN = re.compile(r"\bversion_num\b|\bversion_table_impl\b")
# Why a revision cannot be undone whose author has left the function out, as some projects do in all of theirs.
NO_DOWNGRADE = "the file has no downgrade()"
# Sections of an ini that are about something else.
_NO_SCRIPTS = ("logger", "handler", "formatter", "post_write_hooks")
_COUNTED = re.compile(r"(.*[^@+-])([+-]\d+)")
# Alembic reads these as places, wherever a revision may stand.
_RESERVED = {"base", "head", "heads", "current"}


@dataclass(frozen=True)
class Project:
    """One ini (or `[tool.alembic]` in pyproject.toml) and its scripts."""

    directory: Path
    config: Config
    script: ScriptDirectory
    settings: Settings = dataclasses.field(default_factory=Settings)
    # Which of env.py's runs of the migrations is meant, where it has one for each tenant.
    turn: int = 0

    @classmethod
    def open(cls, config_file: Path, x_arguments: Sequence[str] = (), *, begun: bool = True) -> Project:
        """Read the configuration and load every revision.

        Raises Usage where the configuration is missing or wrong, HistoryFault where a revision file cannot
        be loaded or the chain is broken; also, unless `begun` is false, where no directory of revisions is there.
        The caller stands in the project's `working_directory`:
        relative `script_location` and `prepend_sys_path` count from there, as they do for Alembic.
        """
        project = cls.unloaded(config_file, x_arguments)
        project._load()
        if begun:
            project._refuse_absent()
        return project

    @classmethod
    def unloaded(cls, config_file: Path, x_arguments: Sequence[str] = ()) -> Project:
        """Read the configuration alone: no file of the history is imported. Raises Usage as `open` does.

        Calls the function that the settings name as `configure`.
        """
        if not config_file.is_file():
            raise Usage(
                f"There is no Alembic configuration at {config_file}.",
                then="airlock -c path/to/alembic.ini …",
            )
        path = config_file.resolve()
        directory = working_directory(path)
        settings = read_settings(path.parent, also=directory)
        # As Alembic does: each is read with the other beside it, where there is one.
        ini, toml = (
            (path.with_name("alembic.ini"), path)
            if path.suffix == ".toml"
            else (path, path.with_name("pyproject.toml"))
        )
        try:
            config = _configuration(ini, toml)
            config.cmd_opts = _options(x_arguments)
            # Where env.py asks (Alembic's cookbook spells it so), airlock's own lines are the log.
            config.attributes["configure_logger"] = False
            if keeps_scripts_beside_itself(path):
                # As `flask db` does, which has the application's directory among the modules' places, too.
                config.set_main_option("script_location", str(path.parent).replace("%", "%%"))
                if not config.get_main_option("prepend_sys_path"):
                    config.set_main_option("prepend_sys_path", str(directory).replace("%", "%%"))
            said = os.environ.get(CONFIGURE) or settings.configure
            if said:
                from airlock.project.configured import configure

                configure(config, said, (path.parent, directory))
            script = ScriptDirectory.from_config(config)
        except Usage:
            raise
        except CommandError as error:
            raise Usage(f"{path.name}: {error}", then=_other_sections(config)) from error
        except AirlockError:
            raise
        except Exception as error:
            raise Usage(f"{path.name} cannot be read: {type(error).__name__}: {error}") from error
        return cls(directory, config, script, settings)

    def with_x_arguments(self, x_arguments: Sequence[str]) -> Project:
        """Let env.py read these `-x` arguments from now on; the history stays as it was loaded."""
        if self.config.cmd_opts is not None:  # as a program of the project's own leaves it
            self.config.cmd_opts = _options(x_arguments)
        return self

    @property
    def heads(self) -> tuple[str, ...]:
        """Return the revisions that no other revises, sorted."""
        return tuple(sorted(self.script.get_heads()))

    def ini_url(self) -> str | None:
        """Read `sqlalchemy.url` of the ini; None where it has none. Raises Usage where it does not interpolate."""
        try:
            return self.config.get_main_option("sqlalchemy.url")
        except Exception:  # noqa: BLE001 - configparser's message quotes the value, password and all
            raise Usage(
                "sqlalchemy.url of the ini does not interpolate; write a percent sign as %%."
            ) from None

    @property
    def versions(self) -> str:
        """Name the directory of the revisions, or the first of several, as the place of what no file stands for."""
        return locations(self.script)[0]

    def revision(self, name: str) -> RevisionFacts:
        """Resolve a full or abbreviated id, `head` or a label. Raises HistoryFault where it is unknown."""
        try:
            found = self.script.get_revision(name)
        except (CommandError, RevisionError) as error:
            raise HistoryFault(f"{error}.".replace("..", ".")) from error
        if found is None:
            raise HistoryFault(f"No revision is called {name!r} in {self.versions}.")
        return self._facts(found)

    def revisions(self, from_to: str | None = None) -> tuple[RevisionFacts, ...]:
        """List a range in the order of upgrading.

        `FROM:TO` leaves out FROM and includes TO; `None` is base to every head. An empty side is base
        or heads. Raises Usage for a malformed range or one that runs downwards.
        """
        low, high = "base", "heads"
        if from_to is not None:
            low, colon, high = from_to.partition(":")
            if not colon:
                raise Usage(f"{from_to!r} is no range.", then=self._only(from_to))
            low, high = self._counted(low or "base"), high or "heads"
        try:
            scripts = list(self.script.iterate_revisions(high, low, implicit_base=True))
        except (CommandError, RevisionError) as error:
            raise Usage(f"{low}:{high} is no range of this history: {error}") from error
        if not scripts and low != high and self.script.get_revisions(low) != self.script.get_revisions(high):
            raise Usage(
                f"{low}:{high} runs downwards or across branches; a range runs from base to head.",
                then=f"{high}:{low}, or alembic history, which lists them",
            )
        return tuple(self._facts(script) for script in reversed(scripts))

    def _counted(self, name: str) -> str:
        """Resolve `head-2`, `4f2a+1` or `shop@head-1`, which Alembic counts where a range ends; what is none of that stays."""
        found = _COUNTED.fullmatch(name)
        if found is None or name in self.script.revision_map._revision_map:
            return name
        try:
            script = self.script.get_revision(found[1])
        except (CommandError, RevisionError):
            return name
        steps = int(found[2])
        for _ in range(abs(steps)):
            ways = (
                () if script is None else _tuple(script.down_revision) if steps < 0 else tuple(script.nextrev)
            )
            if len(ways) != 1:
                return "base" if script is not None and steps < 0 and not ways else name
            script = self.script.get_revision(ways[0])
        return script.revision if script is not None else name

    def _only(self, name: str) -> str:
        """Spell the range that holds one revision alone; FROM:TO where none is called so."""
        try:
            found = self.script.get_revision(name)
        except (CommandError, RevisionError):
            found = None
        if found is None:
            return "FROM:TO, both revisions, base or head"
        return f"{(*_tuple(found.down_revision), 'base')[0]}:{found.revision} for that revision alone"

    def _facts(self, script: Script) -> RevisionFacts:
        """Read what a revision says of itself; what the settings accept of it stands beside that."""
        facts = _facts(script)
        reasons = {**self.settings.reasons(facts.revision), **facts.accepted}
        return dataclasses.replace(facts, accepted=reasons)

    def _load(self) -> None:
        versions = self.script.dir
        try:
            # Handlers of logs that modules make as they are imported keep the stream that they find.
            with warnings.catch_warnings(), to_standard_error():
                warnings.filterwarnings("error", message=r"Revision .* is present more than once")
                warnings.filterwarnings("error", message=r"Revision .* referenced from .* is not present")
                warnings.filterwarnings("ignore", category=DeprecationWarning)
                with while_loaded.noticed():
                    self._import()
        except UserWarning as warning:
            raise HistoryFault(f"The history is broken: {warning}.") from warning
        except CommandError as error:
            raise HistoryFault(f"The history is broken: {error}") from error
        except AirlockError:
            raise
        except RevisionError as error:  # a cycle
            raise HistoryFault(f"The history is broken: {error}.") from error
        except SyntaxError as error:
            raise HistoryFault(f"{error.filename}:{error.lineno} does not parse: {error.msg}.") from error
        except Exception as error:
            if isinstance(error, KeyError) and _is_of_alembic(error):
                raise HistoryFault(
                    f"A revision revises or depends on {error}, which is not in {versions}."
                ) from error
            lacks = missing_module(error)
            behind = f" (behind it: no module named {lacks!r})" if lacks and lacks not in str(error) else ""
            raise HistoryFault(
                f"{_place_in(versions, error)} cannot be imported: {type(error).__name__}: {error}{behind}",
                then=MISSING_MODULE if lacks else "",
            ) from error
        for name in _RESERVED & self.script.revision_map._revision_map.keys():
            raise HistoryFault(f"A revision is called {name!r}, which Alembic keeps for itself.")
        self._refuse_unread()
        for script in self.script.revision_map._revision_map.values():
            if script is not None and len(script.revision) > 32 and not self._widens_version_table():
                raise HistoryFault(
                    f"Revision id {script.revision!r} has {len(script.revision)} characters; the version table holds 32."
                )

    def _widens_version_table(self) -> bool:
        """Tell whether env.py or a revision makes the version table itself, or widens its column, which Alembic makes for 32."""
        revisions = self.script.revision_map._revision_map.values()
        files = [
            self.script.env_py_location,
            *(script.path for script in revisions if isinstance(script, Script)),
        ]
        return any(
            _ITS_COLUMN.search(Path(file).read_text(encoding="utf-8", errors="replace")) for file in files
        )

    def _refuse_absent(self) -> None:
        """Raise HistoryFault where none of the directories of revisions is there: Alembic takes that for an empty history."""
        places = locations(self.script)
        if not any(Path(place).is_dir() for place in places):
            raise HistoryFault(
                f"There is no directory of revisions at {' or '.join(map(os.path.relpath, places))}.",
                then="version_locations in the ini; airlock revision makes the directory with the first of them",
            )

    def _import(self) -> None:
        """Load every module of the history, so that errors come here; behind env.py where they want that."""
        collecting = gc.isenabled()
        gc.disable()  # there is no garbage to be found among modules, all of which stay
        try:
            self.script.revision_map.heads  # noqa: B018
        except (Warning, CommandError, AirlockError, SyntaxError):
            raise
        except Exception as error:
            if isinstance(error, KeyError) and _is_of_alembic(error):
                raise
            from airlock.project.behind_env import load_behind_env

            load_behind_env(self.config, self.script, lambda: self.script.revision_map.heads)
        finally:
            if collecting:
                gc.enable()

    def unread(self) -> list[Path]:
        """List the files that are revisions and stand below the directories that Alembic reads, not in them."""
        from airlock.project.own_files import own_files

        read = [Path(one) for one in locations(self.script)]
        places = read if any(one.is_dir() for one in read) else [Path(self.script.dir)]
        known = {
            Path(one.path).resolve() for one in self.script.revision_map._revision_map.values() if isinstance(one, Script)
        }  # fmt: skip
        below = {file for place in places for file in own_files(place, ".py") if file.resolve() not in known}
        return sorted(file for file in below if _is_revision(file))

    def _refuse_unread(self) -> None:
        """Raise HistoryFault where Alembic reads no revision, and files that are some stand where it does not look.

        Without that, a history which env.py alone finds, or a misspelt directory, would be proved from end to end.
        """
        if self.script.get_heads():
            return
        read, found = locations(self.script), self.unread()
        if found:
            raise HistoryFault(
                f"No revision is read from {', '.join(os.path.relpath(one, self.directory) for one in read)}, "
                f"but {os.path.relpath(found[0], self.directory)} is one, and {len(found) - 1} files more.",
                then="version_locations in the ini with their directory, or recursive_version_locations = true",
            )


def _is_of_alembic(error: Exception) -> bool:
    """Tell whether Alembic itself has raised it, and no module of the history."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1]).startswith("alembic.")


def locations(script: ScriptDirectory) -> list[str]:
    """List the directories that Alembic reads revisions from, under the names that its releases have for them."""
    listed = getattr(script, "_version_locations", None) or script.version_locations or [script.versions]
    return [str(one) for one in listed]


def _place_in(versions: str, error: Exception) -> str:
    """Name the file and line of the history that raised; the directory where none of its files did."""
    root = Path(versions).resolve()
    found = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).resolve().is_relative_to(root):
            found = f"{os.path.relpath(frame.filename)}:{frame.lineno}"
    return found or f"A revision in {versions}"


def _is_revision(file: Path) -> bool:
    try:
        return _A_REVISION.search(file.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False


def _facts(script: Script) -> RevisionFacts:
    module: Any = script.module
    irreversible = getattr(module, "irreversible", None)
    downgrades = hasattr(module, "downgrade")
    if not downgrades:
        irreversible = irreversible or NO_DOWNGRADE
    return RevisionFacts(
        revision=script.revision,
        down_revisions=_tuple(script.down_revision),
        depends_on=_tuple(script.dependencies),
        branch_labels=tuple(sorted(script.branch_labels or ())),
        title=titles.title(script),
        doc=titles.own_text(script),
        path=Path(script.path),
        irreversible=str(irreversible) if irreversible else None,
        resumable=getattr(module, "resumable", False) is True,
        kept=_said(module, "kept"),
        accepted=_said(module, "accepted"),
        downgrades=downgrades,
    )


def _said(module: Any, name: str) -> dict[str, str]:
    value = getattr(module, name, None) or {}
    if not isinstance(value, dict):
        raise HistoryFault(f"{Path(module.__file__).name}: `{name}` must be a dict of object to sentence.")
    return {str(key): str(sentence) for key, sentence in value.items()}


def _tuple(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _configuration(ini: Path, toml: Path) -> Config:
    """Let Alembic read its files. Raises Usage where it is too old for a pyproject.toml and there is nothing else."""
    found: dict[str, Any] = {}
    # Alembic's own limit: before 1.16 it reads an ini and nothing beside it.
    if "toml_file" in inspect.signature(Config).parameters:
        found["toml_file"] = str(toml) if toml.is_file() else None
    elif not ini.is_file():
        raise Usage(
            f"Alembic {alembic.__version__} does not read {toml.name}.",
            then="alembic 1.16 or newer, or an alembic.ini",
        )
    section = os.environ.get(SECTION) or "alembic"
    config = Config(str(ini) if ini.is_file() else None, ini_section=section, **found)
    if section != "alembic" and not config.file_config.has_section(section):
        raise Usage(f"{ini.name} has no section [{section}].", then="-n with a section that it has")
    return config


def _other_sections(config: Config) -> str:
    """Say which sections of the ini name scripts where the one that was asked for does not; nothing where none does."""
    found = config.file_config
    if found.has_option(config.config_ini_section, "script_location"):
        return ""
    # Every section has what [DEFAULT] says, those of logging too.
    named = [
        one
        for one in found.sections()
        if not one.startswith(_NO_SCRIPTS) and found.has_option(one, "script_location")
    ]
    return " or ".join(f"-n {name}" for name in named)


def _options(x_arguments: Sequence[str]) -> Any:
    """Build what `context.get_x_argument()` and a few env.py files read from Alembic's own command line."""
    import argparse

    return argparse.Namespace(
        x=list(x_arguments),
        name=os.environ.get(SECTION) or "alembic",
        tag=os.environ.get(TAG),
        sql=False,
        raiseerr=True,
        quiet=False,
    )
