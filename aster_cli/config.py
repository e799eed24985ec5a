"""What a detector can be told, typed and frozen; the field's comment is its documentation.

The command line resolves flags, ``ASTER_*`` variables and ``aster.toml`` into these values, and the
model directory keeps them in ``config.toml``: a detector always carries its configuration.
"""

import difflib
import math
from typing import Literal

import msgspec

from aster_cli.errors import UsageError

MissingPolicy = Literal["previous", "interpolate", "drop"]
DuplicatePolicy = Literal["error", "first", "last", "mean"]
ClassifierKind = Literal["transformer", "mlp", "linear"]
Precision = Literal["auto", "fp32", "bf16"]
LogFormat = Literal["csv", "parquet", "ndjson", "arrow"]
Engine = Literal["local", "ray"]
StderrFormat = Literal["text", "json"]
ThresholdMethod = Literal["quantile", "pot", "conformal", "fixed", "budget"]

DEFAULT_BACKBONE = "smollm2-135m"


def require(holds: bool, name: str, value: object, range_: str) -> None:
    """Raise `UsageError` that prints the bad value back, unless `holds`."""
    if not holds:
        raise UsageError(f"{value!r} is not possible", where=f"--{name}", hint=f"give {range_}")


class ColumnConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which column of a log plays which part."""

    time_col: str | None = None  # found where not named
    id_cols: tuple[str, ...] = ()  # together they name the machine; none: one machine
    id_from_path: bool = False  # the file's stem, or its hive key, names the machine
    sensors: tuple[str, ...] = ()  # globs; empty: every numeric column
    exclude_cols: tuple[str, ...] = ()  # globs, stronger than `sensors`
    label_col: str = "label"  # never a sensor, in any command


class TimeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How steps, gaps, holes and disorder in time are read."""

    period: float | None = None  # seconds, or counter units; None: the training log's median step
    max_gap: float = 5.0  # periods; a longer step ends a segment, a longer hole is not filled
    missing: MissingPolicy = "previous"
    duplicates: DuplicatePolicy = "error"
    sort: bool = False  # order rows by time within a machine; holds the whole log in memory

    def __post_init__(self) -> None:
        """Refuse values that no log can meet."""
        require(1 <= self.max_gap < math.inf, "max-gap", self.max_gap, "at least 1 period")
        require(
            self.period is None or 0 < self.period < math.inf,
            "freq",
            self.period,
            "longer than zero",
        )

    def changed(self, *, duplicates: DuplicatePolicy | None, sort: bool) -> "TimeConfig":
        """The same, but for what a later log needs."""
        return msgspec.structs.replace(
            self, duplicates=duplicates or self.duplicates, sort=sort or self.sort
        )


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parts of ASTER and their sizes; None means: derived from the training log."""

    window_size: int | None = None  # rows of a window; a multiple of `patch_size`
    stride: int | None = None  # rows between windows when scoring
    patch_size: int = 4  # rows of a token
    width: int = 128  # d, of the hidden state
    latent_width: int | None = None  # z
    backbone: str = DEFAULT_BACKBONE  # a name, a Hugging Face id, a local directory, or "none"
    backbone_layers: int = 3  # K, the first layers of the LLM
    lora_rank: int = 8  # 0: the LLM stays frozen
    classifier: ClassifierKind = "transformer"
    reversal_strength: float = 1.0  # at the end of its schedule; 0: no gradient reversal

    def __post_init__(self) -> None:
        """Refuse sizes that no network can have."""
        require(self.patch_size >= 1, "patch-size", self.patch_size, "at least 1")
        for name in ("window_size", "stride", "latent_width"):
            value = getattr(self, name)
            require(value is None or value >= 1, name.replace("_", "-"), value, "at least 1")
        if self.window_size is not None:
            require(
                self.window_size >= 2 * self.patch_size and self.window_size % self.patch_size == 0,
                "window-size",
                self.window_size,
                f"a multiple of {self.patch_size}, at least {2 * self.patch_size}",
            )
            # with a longer one some rows would lie in no window
            require(
                self.stride is None or self.stride <= self.window_size,
                "stride",
                self.stride,
                f"at most the window's {self.window_size} rows",
            )
        require(self.width >= 4 and self.width % 4 == 0, "width", self.width, "a multiple of 4")
        require(self.backbone_layers >= 1, "backbone-layers", self.backbone_layers, "at least 1")
        require(self.lora_rank >= 0, "lora-rank", self.lora_rank, "0 or more")
        require(
            0 <= self.reversal_strength < math.inf,
            "reversal-strength",
            self.reversal_strength,
            "0 or more",
        )


class TrainingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the detector is fitted."""

    steps: int | None = None  # optimiser steps at most; None: from the number of windows
    batch_size: int = 32  # windows
    learning_rate: float = 1e-3
    seed: int = 0
    device: str = "auto"  # auto, cpu, cuda or cuda:n
    precision: Precision = "auto"
    compile: bool = False  # by torch.compile; calibration and scoring are not

    def __post_init__(self) -> None:
        """Refuse schedules that train nothing."""
        require(self.steps is None or self.steps >= 1, "steps", self.steps, "at least 1")
        require(self.batch_size >= 2, "batch-size", self.batch_size, "at least 2")
        require(0 < self.learning_rate < math.inf, "learning-rate", self.learning_rate, "above 0")
        require(0 <= self.seed < 2**31, "seed", self.seed, "from 0 to 2147483647")


class AlertConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a score becomes an alarm."""

    alert_budget: float = 0.005  # share of normal rows that may lie above the threshold

    def __post_init__(self) -> None:
        """Refuse budgets that are no share."""
        require(0 < self.alert_budget < 0.5, "alert-budget", self.alert_budget, "between 0 and 0.5")


class AlertRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another alert rule for scores that are there already; see ``docs/alert-rules.md``."""

    method: ThresholdMethod = "quantile"
    alert_budget: float = 0.005  # share of normal rows; of `quantile`, `pot` and `budget`
    fdr: float = 0.1  # share of false alarms among alarms; of `conformal`
    threshold: float | None = None  # of `fixed`
    k: int = 1  # rows above the threshold ...
    n: int = 1  # ... of so many
    merge_gap: float | None = None  # clock units within an event; None: half a window of rows
    min_duration: float = 0.0  # clock units from an event's first row to its last
    suppress: float = 0.0  # clock units after an event without a new one

    def __post_init__(self) -> None:
        """Refuse rules that no row can meet, or that mean nothing."""
        AlertConfig(alert_budget=self.alert_budget)
        require(0 < self.fdr < 1, "fdr", self.fdr, "between 0 and 1")
        given = self.threshold is not None and math.isfinite(self.threshold)
        require(
            given if self.method == "fixed" else self.threshold is None,
            "threshold",
            self.threshold,
            "a finite number with --threshold-method fixed, and with no other",
        )
        require(1 <= self.k <= self.n, "k-of-n", f"{self.k}/{self.n}", "K/N, K from 1 to N")
        for name in ("merge_gap", "min_duration", "suppress"):
            value = getattr(self, name)
            require(
                value is None or 0 <= value < math.inf, name.replace("_", "-"), value, "0 or more"
            )


class DetectorConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides what a detector becomes."""

    columns: ColumnConfig = ColumnConfig()
    time: TimeConfig = TimeConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    alert: AlertConfig = AlertConfig()

    def changed(self, **settings: object) -> "DetectorConfig":
        """The same, but for settings by their own names: ``changed(id_cols=("pump",), seed=1)``.

        Raises:
            UsageError: There is no such setting, or it cannot have this value.
        """
        sections = {name: getattr(self, name) for name in self.__struct_fields__}
        owners = {
            field: name for name, section in sections.items() for field in section.__struct_fields__
        }
        for setting, value in settings.items():
            if setting not in owners:
                near = difflib.get_close_matches(setting, owners, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(owners)}"
                raise UsageError("is no setting", where=repr(setting), hint=hint)
            name = owners[setting]
            if isinstance(getattr(sections[name], setting), tuple) and isinstance(value, str):
                value = (value,)
            sections[name] = _checked(sections[name], setting, value)
        return DetectorConfig(**sections)


def _checked(section: msgspec.Struct, setting: str, value: object) -> msgspec.Struct:
    """A section with another value, of the type that its field has."""
    try:
        return msgspec.convert({**msgspec.to_builtins(section), setting: value}, type(section))
    except msgspec.ValidationError as error:
        raise UsageError(f"{value!r} is not possible: {error}", where=repr(setting)) from error
