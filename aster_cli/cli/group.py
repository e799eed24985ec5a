"""How a run ends: every failure becomes one line on stderr and a fixed exit code."""

import io
import json
import signal
import sys
import traceback
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from aster_cli.cli.records import write_record
from aster_cli.cli.settings import told_elsewhere, told_in
from aster_cli.cli.streams import is_closed_pipe, silence, steady_streams
from aster_cli.errors import AsterError
from aster_cli.plain import plain, plain_lines

USAGE = 2
INTERRUPTED = 130
INTERNAL_ERROR = 70
LONGEST = 2000
"""Characters of a message; of a longer one the middle is left out."""

_TRUE = ("1", "true", "t", "yes", "y", "on")

_asked: dict[str, Any] = {}
"""What ``--json``, ``--log-format`` and ``--debug`` are, as far as the call has been parsed."""


def remember(parameter: typer.CallbackParam, value: Any) -> Any:
    """Keep a flag that decides how errors look, wherever it was set."""
    _asked[parameter.opts[0]] = value
    return value


class AsterGroup(TyperGroup):
    """The command group that turns errors into a line and an exit code.

    Click's own exit code 1 never gets out, so that 1 only ever means "anomalies found".
    """

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run a command and exit; the codes are those of `aster_cli.errors`."""
        signal.signal(signal.SIGTERM, _interrupt)
        _asked.clear()
        with steady_streams():
            sys.exit(self._run(*args, **kwargs))

    def _run(self, *args: Any, **kwargs: Any) -> int:
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False}) or 0
            sys.stdout.flush()
        except typer.TyperException as error:
            # Click's own complaints about the call; they bring the usage line with them
            if _is_on("--json") or _wants_records():
                _report(str(error), USAGE)
            else:
                shown = io.StringIO()
                error.show(file=shown)  # type: ignore[attr-defined]
                sys.stderr.write(plain_lines(shown.getvalue()))
            return USAGE
        except typer.Abort:
            return INTERRUPTED
        except OSError as error:
            return _end_of_output(error)
        except SystemExit as error:
            # Click and Rich leave with 1 where nobody reads their output any more
            if not isinstance(error.__context__, BrokenPipeError):
                raise
            return _end_of_output(error.__context__)
        return int(code)

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
        except (typer.Exit, typer.Abort, typer.TyperException, OSError):
            raise
        except (Exception, _panic()) as error:  # the last line of defence
            _report_internal(error)
            raise typer.Exit(INTERNAL_ERROR) from error


def _panic() -> type[BaseException]:
    """What Polars raises where it fails itself, which is no `Exception`; imported once there is one."""
    from polars.exceptions import PanicException

    return PanicException


def _interrupt(signal_: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end_of_output(error: OSError) -> int:
    """Say why the system refused, but for a closed stdout: whoever read it has had enough."""
    if isinstance(error, BrokenPipeError) and is_closed_pipe(sys.stdout):
        code = 0
    elif error.errno is None:  # a library's own, not the system's
        _report_internal(error)
        code = INTERNAL_ERROR
    else:
        where = f"{error.filename}: " if error.filename else ""
        _report(f"{where}cannot be read or written ({error.strerror})", USAGE)
        code = USAGE
    silence(sys.stdout)
    return code


def _is_on(flag: str) -> bool:
    if flag in _asked:
        return bool(_asked[flag])
    words = sys.argv[1:]
    return flag in words or str(told_elsewhere(flag, words)).lower() in _TRUE


def _wants_records() -> bool:
    flag, words = "--log-format", sys.argv[1:]
    if flag in _asked:
        return bool(_asked[flag] == "json")
    return (told_in(words, flag) or told_elsewhere(flag, words)) == "json"


def _report_internal(error: BaseException) -> None:
    what = f"internal error, {type(error).__name__}: {error}"
    _report(f"{what}; --debug shows where it happened", INTERNAL_ERROR)


def _report(message: str, exit_code: int) -> None:
    """Write one line on stderr, with control characters made visible."""
    if _is_on("--debug") and exit_code != INTERRUPTED:
        sys.stderr.write(plain_lines(traceback.format_exc()))
    line = plain(" ".join(message.split()))
    if len(line) > LONGEST:  # a name from a log can be as long as it likes
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    if _wants_records():
        write_record("error", "error", error=line, exit_code=exit_code)
        return
    if _is_on("--json"):
        line = json.dumps({"error": line, "exit_code": exit_code})
    else:
        line = f"aster: {line}"
    sys.stderr.write(f"{line}\n")
