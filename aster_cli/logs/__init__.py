"""Logs in, scores out: the one door for data.

`open_log` reads files as one log, `open_frame` takes a Polars frame for one; both check columns,
types and order once, early, naming the offender; `open_writer` writes frames of scores. Neither knows torch.
"""

from aster_cli.logs.explained import EXPLAINED, SENSOR, open_explained
from aster_cli.logs.incidents import Incident, read_incidents, require_apart
from aster_cli.logs.log import Log
from aster_cli.logs.opening import open_frame, open_log
from aster_cli.logs.scores import SCORE_DTYPES, TOP_SENSORS, ScoresFile, is_scores_file, read_scores
from aster_cli.logs.shares import ROW, LogShare, share_out
from aster_cli.logs.sources import Source, find_sources
from aster_cli.logs.writers import Writer, open_writer
from aster_cli.schema import LogSchema

__all__ = [
    "EXPLAINED",
    "ROW",
    "SCORE_DTYPES",
    "SENSOR",
    "TOP_SENSORS",
    "Incident",
    "Log",
    "LogSchema",
    "LogShare",
    "ScoresFile",
    "Source",
    "Writer",
    "find_sources",
    "is_scores_file",
    "open_explained",
    "open_frame",
    "open_log",
    "open_writer",
    "read_incidents",
    "read_scores",
    "require_apart",
    "share_out",
]
