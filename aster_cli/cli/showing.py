"""What the commands say besides their result: notes on stderr, JSON on stdout."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console

from aster_cli.plain import plain


def say_notes(console: Console, notes: Iterable[str]) -> None:
    """Say what the user should know about how a log is read."""
    for note in notes:
        console.print(f"note: {plain(note)}", style="dim", highlight=False, soft_wrap=True)


def show_json(value: dict[str, Any], *, to_stderr: bool = False) -> None:
    """Write one JSON object on one line, in ASCII: no stream and no terminal stumbles over it."""
    stream = sys.stderr if to_stderr else sys.stdout
    stream.write(json.dumps(value, default=str) + "\n")
