"""Small values of every kind that is shown, and a way to see them as text."""

from collections.abc import Callable
from datetime import datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from aster_cli.checkpoint import (
    EpochRecord,
    MachineThreshold,
    Manifest,
    ModelCard,
    ModelSchema,
    Scoring,
    SensorRange,
    TrainingRecord,
)
from aster_cli.config import DetectorConfig, ModelConfig
from aster_cli.inspection import SensorCourse, Timeline
from aster_cli.logs import LogSchema
from aster_cli.results import Event, SensorShare

Show = Callable[[RenderableType, int], str]


@pytest.fixture
def show() -> Show:
    """Return what a terminal of that width would show, without its codes."""

    def text(shown: RenderableType, width: int) -> str:
        console = Console(file=StringIO(), width=width, color_system=None, highlight=False)
        console.print(shown)
        output: str = console.file.getvalue()  # type: ignore[attr-defined]
        return output

    return text


@pytest.fixture
def events() -> list[Event]:
    """Four events, from hardly to extremely severe."""
    first = datetime(2025, 3, 19, 8, 5)

    def event(i: int, severity: float, minutes: int, *, machine: str) -> Event:
        start = first + timedelta(hours=30 * i)
        return Event(
            event_id=f"{i:012x}",
            machine=(machine,),
            start=start,
            end=start + timedelta(minutes=minutes),
            duration_s=minutes * 60.0,
            n_rows=minutes // 5 + 1,
            peak_time=start,
            peak_score=3.25 + i,
            severity=severity,
            top_sensors=(
                SensorShare("bearing_temp_c", 0.62, 1, 81.28, 64.0),
                SensorShare("vibration_mm_s", 0.27, -1, -0.31, 0.2),
                SensorShare("a sensor [bold]with[/bold] a very long name", 0.11, 0, 3.0, 3.0),
            ),
            open=i == 3,
            similar=(f"{1:012x}", f"{0:012x}") if i == 3 else (),
        )

    return [
        event(0, 91.5, 0, machine="P1"),
        event(1, 99.96, 135, machine="P2"),
        event(2, 96.0, 26 * 60, machine="P1"),
        event(3, 97.0, 40, machine="P3"),
    ]


@pytest.fixture
def timeline() -> Timeline:
    """Normal rows, three anomalous stretches, a hole."""
    severity = [40.0, None, *[80.0] * 18, 90.5, 96.0, 99.9, *[70.0] * 37]
    anomalies = [0] * 20 + [1, 12, 200] + [0] * 37
    shares: list[float | None] = [None] * 60
    shares[20:23] = [0.9, 0.5, 0.1]
    sensors = (
        SensorCourse("bearing_temp_c", tuple(shares)),
        SensorCourse("a sensor [bold]with[/bold] a very long name", tuple(reversed(shares))),
    )
    return Timeline(
        "2025-03-19 00:00:00", "2025-03-27 23:55:00", tuple(severity), tuple(anomalies), sensors
    )


@pytest.fixture
def card() -> ModelCard:
    """A model of two machines and two sensors."""

    def epoch(phase: str, number: int) -> EpochRecord:
        losses = {"window_reconstruction": 1.0 / number, "kl": 0.1 * number, "classification": 0.3}
        fit = phase == "fit"
        return EpochRecord(
            phase=phase,
            epoch=number,
            step=25 * number,
            reversal_strength=1.0 - 0.5 / number,
            losses=losses,
            held_out={name: 1.1 * value for name, value in losses.items()} if fit else {},
            separation=0.9 - 0.2 / number if fit else None,
        )

    config = DetectorConfig(model=ModelConfig(window_size=32, stride=8, latent_width=8))
    return ModelCard(
        manifest=Manifest(
            format=1,
            model_id="0123456789ab",
            created="2025-04-01T10:00:00+00:00",
            seed=7,
            backbone="smollm2-135m",
            log="normal",
            fingerprint="0f" * 32,
            versions={"aster-cli": "1.2.3", "polars": "2.1.0"},
            scoring=Scoring(batch_windows=64, precision="fp32", threads=2),
            files={"backbone.json": "", "config.toml": "", "weights.safetensors": ""},
        ),
        config=config,
        schema=ModelSchema(
            log=LogSchema(
                sensors=("flow", "temperature"),
                sensor_dtypes=("Float64", "Float64"),
                time_col="timestamp",
                time_kind="datetime",
                time_dtype="Datetime",
                seconds_per_unit=1e-9,
                id_cols=("pump",),
                id_from_path=False,
                label_col=None,
            ),
            period=300.0,
            max_gap=5.0,
            window_size=32,
            stride=8,
        ),
        training=TrainingRecord(
            rows=12_046,
            missing_cells=24,
            machines=2,
            windows={"train": 1000, "early_stopping": 100, "refit": 1500},
            start="2025-03-05 00:00:00",
            end="2025-03-18 23:55:00",
            notes=("left out, not numeric: 'operator'",),
            epochs=(
                *(epoch("fit", number) for number in range(1, 7)),
                *(epoch("refit", number) for number in range(1, 4)),
            ),
            calibration_rows=2381,
            effective_rows=74,
            margin=True,
            threshold=2.083,
            thresholds=(MachineThreshold(("P1",), 1.9), MachineThreshold(("P2",), 2.25)),
            ranges=(
                SensorRange(
                    sensor="flow",
                    missing_share=0.0,
                    lowest=100.0,
                    medians=(105.0, 109.0),
                    highest=114.0,
                    spread=5.4,
                    stood_still=False,
                ),
                SensorRange(
                    sensor="temperature",
                    missing_share=0.002,
                    lowest=36.6,
                    medians=(41.6, 41.6),
                    highest=46.6,
                    spread=3.4,
                    stood_still=False,
                ),
            ),
        ),
    )
