"""Where an option comes from when the command line does not say it: AIRLOCK_* variables, then the project's settings."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.project.place import configuration as found_in
from airlock.records.errors import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airlock.project.settings import Settings

PREFIX = "AIRLOCK_"
# Said for one run, by whoever looks at it: left in an environment or a file, a loss would be accepted unseen.
_SAID_EACH_TIME = frozenset({"accept_loss", "accept_unknown_loss", "repair", "help"})
_YES, _NO = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


def command_first(words: Sequence[str], commands: Mapping[str, Any], options: Any) -> list[str]:
    """Put the command before the options that stand before it, as `alembic -c FILE upgrade` has them.

    `options(command)` gives the command's parser. What is no option or its value before the command is left where it is,
    to be refused there.
    """
    for place, word in enumerate(words):
        if word in commands and (place == 0 or _only_options(words[:place], options(word))):
            return [word, *words[:place], *words[place + 1 :]]
    return list(words)


def _only_options(words: Sequence[str], parser: argparse.ArgumentParser) -> bool:
    known = parser._option_string_actions
    rest = iter(words)
    for word in rest:
        name = word.partition("=")[0]
        action = known.get(name) or _abbreviated(name, known)
        if action is None:
            # -cFILE, -xKEY=VALUE
            if word[:2] not in known or word.startswith("--") or known[word[:2]].nargs == 0:
                return False
        elif (
            action.nargs != 0 and ("=" not in word or not word.startswith("--")) and next(rest, None) is None
        ):
            return False
    return True


def _abbreviated(name: str, known: Mapping[str, argparse.Action]) -> argparse.Action | None:
    found = {id(action): action for option, action in known.items() if option.startswith(name)}
    return next(iter(found.values())) if name.startswith("--") and len(found) == 1 else None


def from_environment(parser: argparse.ArgumentParser) -> None:
    """Take each option's default from its variable: `--lock-timeout` from AIRLOCK_LOCK_TIMEOUT. Raises Usage."""
    for action in _settable(parser):
        said = os.environ.get(PREFIX + action.dest.upper())
        if said is not None and (said.strip() or action.nargs == 0):
            _put(action, said, PREFIX + action.dest.upper())


def from_settings(parser: argparse.ArgumentParser, settings: Settings, command: str) -> set[str]:
    """Take defaults from the project's settings, a command's own before everybody's; variables win over both.

    Returns what is set for all commands and this one does not have. Raises Usage for such an option of its own.
    """
    actions = {action.dest: action for action in _settable(parser)}
    everybody, own = settings.options.get("", {}), settings.options.get(command, {})
    for name in own.keys() - actions.keys():
        raise Usage(f"{_file(settings)}: airlock {command} has no option {name.replace('_', '-')!r}.")
    for name, value in {**everybody, **own}.items():
        action = actions.get(name)
        if action is not None and PREFIX + name.upper() not in os.environ:
            _put(action, value, f"{_file(settings)}: {name.replace('_', '-')}")
    return everybody.keys() - actions.keys()


def refuse_unknown(names: set[str], settings: Settings, parsers: Sequence[argparse.ArgumentParser]) -> None:
    """Raise Usage for a name that is an option of no command."""
    known = {action.dest for parser in parsers for action in _settable(parser)}
    for name in sorted(names - known):
        raise Usage(f"{_file(settings)}: airlock has no option {name.replace('_', '-')!r}.")


def _file(settings: Settings) -> str:
    return settings.file.name if settings.file is not None else "the settings"


def _settable(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [
        action for action in parser._actions if action.option_strings and action.dest not in _SAID_EACH_TIME
    ]


def _put(action: argparse.Action, said: Any, where: str) -> None:
    if action.nargs == 0:
        word = str(said).strip().lower()
        if word not in _YES | _NO:
            raise Usage(f"{where} is neither yes nor no.", then="1 or 0")
        action.default = word in _YES
    elif isinstance(action.default, list):
        listed = said if isinstance(said, list) else shlex.split(str(said))
        action.default = [str(one) for one in listed]
    else:
        # argparse reads a text as if it stood on the command line, and refuses it in the same words.
        action.default = str(said)
        if action.choices is not None and action.default not in action.choices:
            raise Usage(f"{where} is none of {', '.join(map(str, action.choices))}.")
        if action.type is not None:
            _read(action, where)


def _read(action: argparse.Action, where: str) -> None:
    convert: Any = action.type
    try:
        convert(action.default)
    except (argparse.ArgumentTypeError, ValueError, TypeError) as error:
        raise Usage(f"{where}: {error}.") from error


def configuration(asked: str | None) -> Path:
    """Find Alembic's configuration: what is asked for, else ALEMBIC_CONFIG, else as `alembic` and `flask db` find it."""
    named = asked or os.environ.get("ALEMBIC_CONFIG")
    if named:
        return Path(named)
    return found_in(Path())
