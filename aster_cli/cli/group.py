"""How a run ends: every failure becomes one line on stderr and a fixed exit code."""

import json
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from aster_cli.errors import AsterError

USAGE = 2
INTERRUPTED = 130
INTERNAL_ERROR = 70


class AsterGroup(TyperGroup):
    """The command group that turns errors into a line and an exit code.

    Click's own exit code 1 never gets out, so that 1 only ever means "anomalies found".
    """

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and exit; the codes are those of `aster_cli.errors`."""
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            sys.exit(super().main(*args, **{**kwargs, "standalone_mode": False}) or 0)
        except typer.TyperException as error:
            # Click's own complaints about the call; they bring the usage line with them
            if _wants_json():
                _report(str(error), USAGE)
            else:
                error.show()  # type: ignore[attr-defined]
            sys.exit(USAGE)
        except typer.Abort:
            sys.exit(INTERRUPTED)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it raises becomes an exit code here."""
        try:
            return super().invoke(ctx)
        except AsterError as error:
            _report(str(error), error.exit_code)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            _report("interrupted, nothing was half-written", INTERRUPTED)
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError as error:
            # whoever read the output has had enough: that is no failure
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from error
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except Exception as error:  # the last line of defence
            what = f"internal error, {type(error).__name__}: {error}"
            _report(f"{what}; --debug shows where it happened", INTERNAL_ERROR)
            raise typer.Exit(INTERNAL_ERROR) from error


def _interrupt(signal_: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _wants_json() -> bool:
    return "--json" in sys.argv


def _report(message: str, exit_code: int) -> None:
    """Write one line on stderr, with control characters made visible."""
    if "--debug" in sys.argv and exit_code != INTERRUPTED:
        traceback.print_exc()
    line = " ".join(message.split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    if _wants_json():
        line = json.dumps({"error": line, "exit_code": exit_code}, ensure_ascii=False)
    else:
        line = f"aster: {line}"
    sys.stderr.write(f"{line}\n")
