"""What `aster inspect` finds out about logs and scores files, as frozen values without torch.

`inspect_log` streams a log once in bounded memory; `inspect_scores` reads a scores file. Model
directories describe themselves: see `aster_cli.checkpoint.read_card`.
"""

from aster_cli.inspection.log import inspect_log, survey
from aster_cli.inspection.scores import (
    ScoreTimeline,
    event_table,
    inspect_scores,
    last_scored,
    leading_sensors,
    rebuild_events,
)
from aster_cli.inspection.sketch import Course
from aster_cli.inspection.stretches import incident_table
from aster_cli.inspection.values import (
    ADVICE,
    BUCKETS,
    Finding,
    FindingKind,
    Gap,
    LogReport,
    MachineRows,
    MachineScores,
    ScoresReport,
    SensorCourse,
    SensorPart,
    SensorReport,
    Sparkline,
    Suspect,
    Timeline,
)

__all__ = [
    "ADVICE",
    "BUCKETS",
    "Course",
    "Finding",
    "FindingKind",
    "Gap",
    "LogReport",
    "MachineRows",
    "MachineScores",
    "ScoreTimeline",
    "ScoresReport",
    "SensorCourse",
    "SensorPart",
    "SensorReport",
    "Sparkline",
    "Suspect",
    "Timeline",
    "event_table",
    "incident_table",
    "inspect_log",
    "inspect_scores",
    "last_scored",
    "leading_sensors",
    "rebuild_events",
    "survey",
]
