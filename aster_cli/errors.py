"""Everything that can go wrong for a user, as one family.

AsterError                  70  never raised itself; the command line catches this class only
├── UsageError               2  the call or the configuration does not make sense
├── StorageError             2  a file cannot be read, written or found
│   ├── LogFormatError       2  a file was read, but it is not the log it claims to be
│   │   └── EmptyLogError    2  it has no rows
│   └── StateError           2  a state or an interrupted training is damaged, newer, or belongs elsewhere
├── BackboneError            2  the language model is not there, or is not what it should be
├── DataError                3  the log was read, but it does not fit the task
│   └── SchemaMismatchError  3  the log does not fit the model; names both sides
├── ModelDirectoryError      4  a model directory is missing, newer, truncated or altered
├── LostProcessError         2  another process of a training that several share is not there
├── NoRowsError              5  nothing to score, only where that is to fail
└── BusyError               75  another run holds the lock

The number is the process's exit code. Exit codes 1 (anomalies found, only on request), 6 (drift,
only on request) and 130 (interrupted) are outcomes, not errors.
"""

from typing import ClassVar


class AsterError(Exception):
    """A failure that the user can understand and act on.

    Args:
        what: What is wrong, as a sentence without a full stop.
        where: The file, column, row or option concerned.
        hint: What to do about it.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """One line: where, what, what to do."""
        place = f"{self.where}: " if self.where else ""
        advice = f"; {self.hint}" if self.hint else ""
        return " ".join(f"{place}{self.what}{advice}".split())


class UsageError(AsterError):
    """The call or the configuration does not make sense."""

    exit_code = 2


class StorageError(AsterError):
    """A file or directory cannot be found, read or written."""

    exit_code = 2


class LogFormatError(StorageError):
    """A file was read, but its content is not the log that it claims to be."""


class EmptyLogError(LogFormatError):
    """A file was read, and has no rows."""


class StateError(StorageError):
    """A state or an interrupted training is damaged, newer, or belongs elsewhere."""


class BackboneError(AsterError):
    """The language model is not at hand, or is not what it should be."""

    exit_code = 2


class DataError(AsterError):
    """The log was read, but it does not fit what was asked."""

    exit_code = 3


class SchemaMismatchError(DataError):
    """The log's columns are not those that the model was trained on."""


class ModelDirectoryError(AsterError):
    """A model directory is missing, written by a newer version, truncated or altered."""

    exit_code = 4


class LostProcessError(AsterError):
    """Another process of a training that several share is not there any more."""

    exit_code = 2


class NoRowsError(AsterError):
    """There is nothing to score, and that was asked to be a failure."""

    exit_code = 5


class BusyError(AsterError):
    """Another run holds the lock; it can be tried again."""

    exit_code = 75
