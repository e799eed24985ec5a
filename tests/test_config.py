"""A bad value is refused where it enters, printed back, with the flag's name."""

import math
from typing import Any

import msgspec
import pytest

from aster_cli.config import (
    AlertConfig,
    ColumnConfig,
    DetectorConfig,
    ModelConfig,
    TimeConfig,
    TrainingConfig,
)
from aster_cli.errors import UsageError

CONFIGS: list[type[msgspec.Struct]] = [
    ColumnConfig,
    TimeConfig,
    ModelConfig,
    TrainingConfig,
    AlertConfig,
    DetectorConfig,
]


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        (TimeConfig, "max_gap", 0.5),
        (TimeConfig, "max_gap", math.inf),
        (TimeConfig, "max_gap", math.nan),
        (ModelConfig, "patch_size", 0),
        (ModelConfig, "window_size", 4),  # one token
        (ModelConfig, "window_size", 18),  # four and a half
        (ModelConfig, "window_size", 0),
        (ModelConfig, "stride", 0),
        (ModelConfig, "latent_width", 0),
        (ModelConfig, "width", 0),
        (ModelConfig, "width", 130),  # four heads share it
        (ModelConfig, "backbone_layers", 0),
        (ModelConfig, "lora_rank", -1),
        (ModelConfig, "reversal_strength", -0.1),
        (ModelConfig, "reversal_strength", math.inf),
        (TrainingConfig, "steps", 0),
        (TrainingConfig, "batch_size", 1),
        (TrainingConfig, "learning_rate", 0.0),
        (TrainingConfig, "learning_rate", math.inf),
        (TrainingConfig, "seed", -1),
        (TrainingConfig, "seed", 2**31),
        (AlertConfig, "alert_budget", 0.0),
        (AlertConfig, "alert_budget", 0.5),
        (AlertConfig, "alert_budget", math.nan),
    ],
)
def test_impossible_values_are_printed_back(config: Any, name: str, value: float) -> None:
    """Found here, it costs a line; found in the network, an hour and a traceback."""
    with pytest.raises(UsageError) as caught:
        config(**{name: value})
    assert caught.value.where == f"--{name.replace('_', '-')}"
    assert repr(value) in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf])
def test_a_period_is_named_as_its_flag(value: float) -> None:
    """The field is called period, what the user typed is --freq."""
    with pytest.raises(UsageError, match="--freq"):
        TimeConfig(period=value)


def test_no_row_may_fall_between_windows() -> None:
    """A stride beyond the window would leave rows that nothing scores."""
    assert ModelConfig(window_size=16, stride=16).stride == 16
    with pytest.raises(UsageError, match="--stride: 17 is not possible"):
        ModelConfig(window_size=16, stride=17)


@pytest.mark.parametrize("config", CONFIGS)
def test_unknown_keys_are_refused(config: Any) -> None:
    """A typo in a configuration must not silently mean the default."""
    with pytest.raises(msgspec.ValidationError, match="windowsize"):
        msgspec.convert({"windowsize": 3}, config)


def test_choices_are_checked_where_a_file_is_read() -> None:
    """An altered config.toml may not choose what the code does not know."""
    with pytest.raises(msgspec.ValidationError, match="rnn"):
        msgspec.convert({"classifier": "rnn"}, ModelConfig)


def test_configurations_are_frozen() -> None:
    """What a detector carries must be what it was trained with."""
    with pytest.raises(AttributeError):
        ModelConfig().width = 64  # type: ignore[misc]


def test_a_configuration_survives_plain_values() -> None:
    """It travels through TOML and back into every detector that is loaded."""
    config = DetectorConfig(
        columns=ColumnConfig(id_cols=("site", "pump"), sensors=("temp*",)),
        model=ModelConfig(window_size=24, classifier="mlp"),
    )
    assert msgspec.convert(msgspec.to_builtins(config), DetectorConfig) == config


def test_a_later_log_changes_only_what_it_needs() -> None:
    """Scoring may sort or merge its own rows; the rest belongs to the model."""
    config = TimeConfig(max_gap=7.0, duplicates="last", sort=True)
    assert config.changed(duplicates=None, sort=False) == config
    assert config.changed(duplicates="mean", sort=False).duplicates == "mean"
    assert TimeConfig().changed(duplicates=None, sort=True).sort


def test_settings_are_changed_by_name() -> None:
    """Names are unique over the sections, so nobody has to know which section has what."""
    base = DetectorConfig(model=ModelConfig(lora_rank=4))
    changed = base.changed(id_cols="pump", exclude_cols=["a", "b"], seed=3, missing="drop")
    assert changed.columns == ColumnConfig(id_cols=("pump",), exclude_cols=("a", "b"))
    assert (changed.training.seed, changed.time.missing, changed.model.lora_rank) == (3, "drop", 4)
    assert base.changed() == base
    names = [field for one in CONFIGS[:-1] for field in one.__struct_fields__]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"id_col": "pump"}, "did you mean 'id_cols'"),
        ({"colour": 1}, "there are time_col"),
        ({"seed": "seven"}, "'seven' is not possible"),
        ({"missing": "never"}, "'never' is not possible"),
        ({"id_cols": 3}, "3 is not possible"),
        ({"window_size": 18}, "--window-size"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    """A keyword that is swallowed would train something else than was asked for."""
    with pytest.raises(UsageError, match=said):
        DetectorConfig().changed(**settings)
