"""The flags, each written once and alike in every command that has it.

Every flag but those of ``aster backbone`` can also be set by ``ASTER_<NAME>`` in the environment or
by its name in ``aster.toml``; a flag wins over the environment, the environment over the file.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from aster_cli.cli.group import remember
from aster_cli.cli.settings import apply_settings
from aster_cli.config import (
    ClassifierKind,
    DuplicatePolicy,
    Engine,
    LogFormat,
    MissingPolicy,
    Precision,
    StderrFormat,
    ThresholdMethod,
)


def flag(*names: str, help: str, **more: Any) -> Any:
    """A flag with its environment variable, which is named after its long form."""
    long = next(name for name in names if name.startswith("--"))
    variable = "ASTER_" + long.strip("-").replace("-", "_").upper()
    return typer.Option(*names, help=help, envvar=variable, show_envvar=False, **more)


Logs = Annotated[
    list[str],
    typer.Argument(
        metavar="LOGS",
        help="A file, several, a glob, a directory, s3:// or gs:// in place of a path, or - for "
        "standard input: CSV, Parquet, NDJSON or Arrow. Several files are one log.",
        show_default=False,
    ),
]

# what every command has
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Settings to use in place of ./aster.toml.",
        envvar="ASTER_CONFIG",
        show_envvar=False,
        is_eager=True,
        callback=apply_settings,
    ),
]
Quiet = Annotated[bool, flag("-q", "--quiet", help="Say nothing but errors.")]
NoColor = Annotated[bool, flag("--no-color", help="No colours, also on a terminal.")]
Json = Annotated[
    bool, flag("--json", help="Results and errors as JSON.", is_eager=True, callback=remember)
]
Debug = Annotated[
    bool,
    flag("--debug", help="Show where an error happened.", is_eager=True, callback=remember),
]

LogStyle = Annotated[
    StderrFormat,
    flag(
        "--log-format",
        help="Notes, summary and errors on stderr as text, or as one JSON object a line.",
        is_eager=True,
        callback=remember,
    ),
]

# columns
TimeCol = Annotated[
    str | None,
    flag("--time-col", metavar="COLUMN", help="The time column; found where it is clear."),
]
IdCol = Annotated[
    list[str] | None,
    flag("--id-col", metavar="COLUMN", help="A column that names the machine; repeatable."),
]
TimeColNow = Annotated[
    str | None,
    flag("--time-col", metavar="COLUMN", help="The time column; as in training if unset."),
]
IdColNow = Annotated[
    list[str] | None,
    flag(
        "--id-col",
        metavar="COLUMN",
        help="A column that names the machine; repeatable. As in training if unset.",
    ),
]
TimeColEval = Annotated[
    str | None,
    flag("--time-col", metavar="COLUMN", help="The time column; the model's, or found, if unset."),
]
IdColEval = Annotated[
    list[str] | None,
    flag(
        "--id-col",
        metavar="COLUMN",
        help="A column that names the machine; repeatable. The model's if unset.",
    ),
]
IdFromPath = Annotated[
    bool, flag("--id-from-path", help="The file's stem, or its hive key, names the machine.")
]
Sensors = Annotated[
    list[str] | None,
    flag(
        "--sensors", metavar="GLOB", help="Sensor columns; repeatable. All numeric ones if unset."
    ),
]
ExcludeCols = Annotated[
    list[str] | None,
    flag("--exclude-cols", metavar="GLOB", help="Columns that are no sensors; repeatable."),
]
LabelCol = Annotated[
    str, flag("--label-col", metavar="COLUMN", help="The label column, never a sensor.")
]

# time
Freq = Annotated[
    str | None,
    flag(
        "--freq",
        metavar="PERIOD",
        help="The sampling period: 10s, 5min, 1h, or a number for counters. Measured if unset.",
        show_default=False,
    ),
]
MaxGap = Annotated[
    float,
    flag("--max-gap", metavar="PERIODS", help="A longer step ends a segment; no fill is longer."),
]
Missing = Annotated[MissingPolicy, flag("--missing", help="How a missing cell is filled.")]
Duplicates = Annotated[
    DuplicatePolicy,
    Engine,
    flag("--duplicates", help="What stands for rows of one machine with one time."),
]
DuplicatesNow = Annotated[
    DuplicatePolicy | None,
    flag(
        "--duplicates",
        help="What stands for rows of one machine with one time; as in training if unset.",
        show_default=False,
    ),
]
DuplicatesEval = Annotated[
    DuplicatePolicy | None,
    flag(
        "--duplicates",
        help="What stands for rows of one machine with one time; if unset, as the model was "
        "trained, without a model error.",
        show_default=False,
    ),
]
Sort = Annotated[bool, flag("--sort", help="Order rows by time; holds the whole log in memory.")]
InputFormat = Annotated[
    LogFormat | None,
    flag(
        "--input-format", help="The logs' format, where the name does not tell.", show_default=False
    ),
]

# the method
WindowSize = Annotated[
    int | None,
    flag("--window-size", metavar="ROWS", help="Rows of a window.", show_default=False),
]
Stride = Annotated[
    int | None,
    flag("--stride", metavar="ROWS", help="Rows between windows when scoring.", show_default=False),
]
BackboneName = Annotated[
    str,
    flag(
        "--backbone",
        metavar="NAME",
        help="The language model: a name, a Hugging Face id, a directory, or none.",
    ),
]
BackboneLayers = Annotated[
    int, flag("--backbone-layers", metavar="K", help="How many of its first layers are used.")
]
LoraRank = Annotated[
    int, flag("--lora-rank", metavar="R", help="Rank of the LoRA adapter; 0 freezes the model.")
]
Classifier = Annotated[ClassifierKind, flag("--classifier", help="The anomaly classifier.")]
ReversalStrength = Annotated[
    float,
    flag("--reversal-strength", metavar="λ", help="Of the gradient reversal; 0 turns it off."),
]
Steps = Annotated[
    int | None,
    flag("--steps", metavar="N", help="Training steps at most.", show_default=False),
]
MaxMinutes = Annotated[
    float | None,
    flag(
        "--max-minutes",
        metavar="M",
        help="End in time, with the best weights so far.",
        show_default=False,
    ),
]
Seed = Annotated[int, flag("--seed", help="The same seed gives the same detector.")]
SeedEval = Annotated[
    int, flag("--seed", help="Of random scores and of baselines that draw; the same, the same.")
]
AlertBudget = Annotated[
    float,
    flag("--alert-budget", metavar="SHARE", help="Share of normal rows that may raise an alarm."),
]

# the alert rule
ThresholdMethodName = Annotated[
    ThresholdMethod,
    flag("--threshold-method", help="How the threshold is set; docs/alert-rules.md tells more."),
]
Threshold = Annotated[
    float | None,
    flag("--threshold", metavar="SCORE", help="The threshold of fixed.", show_default=False),
]
AlertBudgetNow = Annotated[
    float | None,
    flag(
        "--alert-budget",
        metavar="SHARE",
        help="Share of normal rows above the threshold, of quantile, pot and budget; as in "
        "training if unset.",
        show_default=False,
    ),
]
Fdr = Annotated[
    float | None,
    flag(
        "--fdr",
        metavar="SHARE",
        help="Share of false alarms among the alarms, of conformal; 0.1 if unset.",
        show_default=False,
    ),
]
KOfN = Annotated[
    str | None,
    flag(
        "--k-of-n",
        metavar="K/N",
        help="Keep an alarm if K of the last N rows lie above the threshold.",
        show_default=False,
    ),
]
MergeGap = Annotated[
    str | None,
    flag(
        "--merge-gap",
        metavar="LENGTH",
        help="From alarm to alarm at most, within an event: 10s, 5min, 1h, or a number for "
        "counters. Half a window of rows if unset.",
        show_default=False,
    ),
]
MinDuration = Annotated[
    str,
    flag("--min-duration", metavar="LENGTH", help="Drop events that are shorter."),
]
Suppress = Annotated[
    str,
    flag("--suppress", metavar="LENGTH", help="Open no event for so long after one has ended."),
]

# where it runs
Device = Annotated[str, flag("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:n.")]
EngineName = Annotated[
    Engine,
    flag(
        "--engine",
        help="What machines are shared out to: this process, or the workers of a Ray cluster.",
    ),
]
PrecisionName = Annotated[
    Precision, flag("--precision", help="What the language model computes in.")
]

Compile = Annotated[
    bool,
    flag(
        "--compile",
        help="Let torch.compile make faster kernels first, a minute that long runs win back.",
    ),
]

ScoresOutput = Annotated[
    str | None,
    flag(
        "-o",
        "--output",
        metavar="FILE",
        help="Where score rows go, its suffix says how; - is standard output. If unset: CSV "
        "into a pipe, a summary on a terminal.",
        show_default=False,
    ),
]
OutputFormat = Annotated[
    LogFormat | None,
    flag(
        "--output-format",
        help="For standard output (csv if unset), or a name that does not tell.",
        show_default=False,
    ),
]
RawCsv = Annotated[
    bool,
    flag(
        "--raw-csv",
        help="In CSV keep text that a spreadsheet would take for a formula; if unset, an apostrophe "
        "goes before it.",
    ),
]
Report = Annotated[
    Path | None,
    flag(
        "--report",
        metavar="FILE",
        help="Also make an HTML page of what was found; its name ends in .html.",
        show_default=False,
    ),
]
Model = Annotated[
    Path,
    flag(
        "-m",
        "--model",
        metavar="MODEL",
        help="The model directory.",
        show_default=False,
        readable=False,  # that it is, is checked where it is read: with an exit code of its own
    ),
]
Force = Annotated[bool, flag("--force", help="Replace what is there.")]
