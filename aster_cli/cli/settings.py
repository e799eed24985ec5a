"""``aster.toml``: a table per command, its keys the command's flags without the dashes."""

import difflib
import os
import tomllib
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import typer

from aster_cli.cli.lazy import loaded
from aster_cli.errors import StorageError, UsageError

DEFAULT_FILE = Path("aster.toml")


def apply_settings(context: typer.Context, file: Path | None) -> Path | None:
    """Make the file's values the defaults of the command that is about to run.

    Raises:
        StorageError: The file cannot be read.
        UsageError: It is not TOML, has a key that no flag has, or a value that its flag cannot have.
    """
    if file is None and not DEFAULT_FILE.is_file():
        return None
    path = file or DEFAULT_FILE
    tables = _read(path)
    parent = context.parent
    commands = getattr(parent.command, "commands", {}) if parent is not None else {}
    for name, table in tables.items():
        _require_known(name, list(commands), path, "command")
        if not any("--config" in parameter.opts for parameter in loaded(commands[name]).params):
            raise UsageError(
                f"`aster {name}` takes no settings from a file",
                where=f"{path}, [{name}]",
                hint="take the table out; backbone under [train] names the language model",
            )
        if not isinstance(table, dict):
            raise UsageError(f"[{name}] is not a table", where=str(path))
    flags = {
        option.removeprefix("--"): parameter
        for parameter in context.command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    values = {}
    for key, value in tables.get(context.info_name or "", {}).items():
        _require_known(key, [name for name in flags if name != "config"], path, "setting")
        values[flags[key].name] = value
        _require_fitting(key, value, flags[key], context, path)
    context.default_map = {**(context.default_map or {}), **values}
    return path


def told_in(words: Sequence[str], flag: str) -> str | None:
    """The value that a call gives a flag, read without knowing the call's other flags."""
    for word, after in zip_longest(words, words[1:], fillvalue=""):
        if word == flag:
            return after
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None


def told_elsewhere(flag: str, words: Sequence[str]) -> object:
    """What the environment or the file say of a flag, for a call that could not be parsed.

    A file that cannot be read says nothing: it is not what is wrong with the call, or is told so.

    Args:
        flag: Its long form.
        words: The call without the program's name.
    """
    key = flag.removeprefix("--")
    variable = os.environ.get("ASTER_" + key.replace("-", "_").upper())
    if variable:
        return variable
    path = told_in(words, "--config") or os.environ.get("ASTER_CONFIG") or DEFAULT_FILE
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("".join(words[:1]))
    except (OSError, ValueError):
        return None
    return table.get(key) if isinstance(table, dict) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ValueError as error:
        raise UsageError(f"is not TOML ({error})", where=str(path)) from error


def _require_fitting(
    key: str, value: Any, parameter: Any, context: typer.Context, path: Path
) -> None:
    """Refuse a value that is not of the flag's type, naming the file that it is in."""
    where = f"{path}, [{context.info_name}] {key}"
    if parameter.multiple != isinstance(value, list):
        wanted = "a list" if parameter.multiple else "one value"
        raise UsageError(f"{value!r} is not possible", where=where, hint=f"give {wanted}")
    is_switch = getattr(parameter, "is_flag", False)
    if is_switch != isinstance(value, bool):
        wanted = "true or false" if is_switch else "a value"
        raise UsageError(f"{value!r} is not possible", where=where, hint=f"give {wanted}")
    try:
        if not is_switch:
            parameter.get_runtime_param().coerce(value, param=parameter, ctx=context)
    except typer.BadParameter as error:
        why = error.message.removeprefix("Value error, ")
        raise UsageError(f"{value!r} is not possible", where=where, hint=why) from error


def _require_known(name: str, known: list[str], path: Path, kind: str) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
    raise UsageError(f"there is no {kind} {name!r}", where=str(path), hint=hint)
