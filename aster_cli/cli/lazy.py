"""Commands that are imported when they are named: help and the list of them need none."""

from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command


class LazyCommand(TyperCommand):
    """Is listed like any command; what it does is imported when it is called.

    Its callback imports and returns that: a function, or a Typer that has commands of its own. The
    callback's docstring is its line in the list.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the call as the command itself does; Click goes on with that one."""
        return loaded(self).make_context(*args, **kwargs)


def loaded(command: Any) -> Any:
    """The command itself, with its flags, where it was only listed so far."""
    if not isinstance(command, LazyCommand):
        return command
    assert command.callback is not None
    found = command.callback()
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(command.name)(found)
        found = app
    return get_command(found)
