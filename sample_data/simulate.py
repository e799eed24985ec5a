"""Simulate the sensor logs of a small pumping station, with labelled faults.

Three pumps each lift water from a supply tank into a main. Demand sets the speed, the speed and the
main set the operating point (affinity laws), and everything else follows from that point:

    head        = shutoff_head * speed² - pump_curve * flow²          (speed as a share of rated)
    head        = static_head + main_curve * delivered²               (flow = delivered + leak)
    power       = density * gravity * flow * head / efficiency
    temperature = first-order lag of (ambient + heat from power + heat from wear)

Each pump is run twice with the same noise: once healthy and once with its faults. An event's rows
run from the first to the last row on which a reading of the faulty run is off by more than three
noise sigmas from the healthy run, so a slow drift counts only once it stands out of the noise, and
a bearing counts until it has cooled. A stuck sensor counts from its first repeated reading.

    python sample_data/simulate.py --seed 7 --output sample_data
"""

import argparse
import math
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Readings = dict[str, Floats]
FaultKind = Literal["stuck", "leak", "bearing_wear", "broken_relation", "spike", "drift"]

DEFAULT_SEED = 7
START = datetime(2025, 3, 5)  # a Wednesday; naive UTC
PERIOD_MINUTES = 5
ROWS_PER_HOUR = 60 // PERIOD_MINUTES
ROWS_PER_DAY = 24 * ROWS_PER_HOUR
NORMAL_DAYS = 14
LIVE_DAYS = 9
NORMAL_ROWS = NORMAL_DAYS * ROWS_PER_DAY
TOTAL_ROWS = (NORMAL_DAYS + LIVE_DAYS) * ROWS_PER_DAY

BAR_PER_METRE = 0.0981
WATER_KW = 9.81 / 3600  # kW for one m³/h lifted by one metre
MOTOR_EFFICIENCY = 0.92
KW_PER_AMPERE = math.sqrt(3.0) * 400.0 * 0.86 / 1000  # 400 V, power factor 0.86
MAX_SPEED = 0.96  # where the drives are limited, as a share of rated speed
DETECTABLE_SIGMAS = 3.0


@dataclass(frozen=True)
class Sensor:
    """One column of the logs: its noise sigma and the decimals it is logged with."""

    name: str
    sigma: float
    decimals: int


SENSORS = (
    Sensor("speed_rpm", sigma=4.0, decimals=0),
    Sensor("flow_m3h", sigma=1.2, decimals=1),
    Sensor("inlet_pressure_bar", sigma=0.005, decimals=3),
    Sensor("outlet_pressure_bar", sigma=0.02, decimals=3),
    Sensor("motor_current_a", sigma=0.3, decimals=1),
    Sensor("power_kw", sigma=0.2, decimals=2),
    Sensor("bearing_temp_c", sigma=0.3, decimals=1),
    Sensor("vibration_mm_s", sigma=0.07, decimals=2),
    Sensor("tank_level_m", sigma=0.01, decimals=3),
)


@dataclass(frozen=True)
class Pump:
    """A pump and the main it feeds; flows in m³/h, heads in metres."""

    name: str
    rated_flow: float
    shutoff_head: float
    rated_head: float
    static_head: float
    rated_rpm: float

    @property
    def pump_curve(self) -> float:
        """Head that the pump loses per squared flow, in m/(m³/h)²."""
        return (self.shutoff_head - self.rated_head) / self.rated_flow**2

    @property
    def main_curve(self) -> float:
        """Head that the main costs per squared flow, in m/(m³/h)²."""
        return (self.rated_head - self.static_head) / self.rated_flow**2


PUMPS = (
    Pump("P1", 180.0, shutoff_head=42.0, rated_head=30.0, static_head=22.0, rated_rpm=1480.0),
    Pump("P2", 140.0, shutoff_head=46.0, rated_head=34.0, static_head=24.0, rated_rpm=1485.0),
    Pump("P3", 220.0, shutoff_head=36.0, rated_head=26.0, static_head=18.0, rated_rpm=1475.0),
)


@dataclass(frozen=True)
class PlannedFault:
    """A fault before the seed has varied its start, length and strength.

    `strength` is, by kind: leak, the share of rated flow lost; bearing_wear, the rise of vibration
    in mm/s at the end; broken_relation, the share of speed lost by a slipping coupling or the share
    of its swing lost by a motor current; spike and drift, noise sigmas; stuck, unused.
    """

    pump: str
    kind: FaultKind
    day: int
    hour: int
    rows: int
    strength: float = 0.0
    sensors: tuple[str, ...] = ()  # the faulty sensors; empty where the machine itself is faulty


# Days count from the start of the live log; its first day and the hours of its gap stay healthy.
FAULT_PLAN = (
    PlannedFault("P1", "leak", day=1, hour=9, rows=66, strength=0.095),
    PlannedFault("P1", "stuck", day=3, hour=6, rows=48, sensors=("flow_m3h",)),
    PlannedFault("P1", "bearing_wear", day=5, hour=9, rows=65, strength=0.3),
    PlannedFault(
        "P1",
        "spike",
        day=7,
        hour=13,
        rows=13,
        strength=10.0,
        sensors=("outlet_pressure_bar", "flow_m3h"),
    ),
    PlannedFault("P2", "broken_relation", day=1, hour=14, rows=45, strength=0.035),
    PlannedFault(
        "P2", "drift", day=3, hour=8, rows=90, strength=6.5, sensors=("inlet_pressure_bar",)
    ),
    PlannedFault("P2", "stuck", day=6, hour=6, rows=50, sensors=("outlet_pressure_bar",)),
    PlannedFault("P2", "leak", day=7, hour=17, rows=60, strength=0.095),
    PlannedFault("P3", "spike", day=1, hour=19, rows=11, strength=6.5, sensors=("vibration_mm_s",)),
    PlannedFault("P3", "bearing_wear", day=3, hour=13, rows=65, strength=0.3),
    PlannedFault(
        "P3",
        "broken_relation",
        day=6,
        hour=2,
        rows=50,
        strength=0.75,
        sensors=("motor_current_a",),
    ),
    PlannedFault(
        "P3", "drift", day=7, hour=12, rows=85, strength=15.0, sensors=("bearing_temp_c",)
    ),
)


@dataclass(frozen=True)
class PlannedGap:
    """A stretch in which the logger of these pumps was down."""

    day: int  # from the start of the normal log
    hour: int
    rows: int
    pumps: tuple[str, ...] = tuple(pump.name for pump in PUMPS)


GAP_PLAN = (
    PlannedGap(day=5, hour=11, rows=14),
    PlannedGap(day=8, hour=2, rows=8, pumps=("P2",)),
    PlannedGap(day=NORMAL_DAYS + 4, hour=11, rows=10),
)


@dataclass(frozen=True)
class Fault:
    """A planned fault with its rows on the time axis: `start` included, `stop` not."""

    plan: PlannedFault
    start: int
    stop: int
    strength: float

    @property
    def rows(self) -> slice:
        """The fault's stretch, to index an array of all rows."""
        return slice(self.start, self.stop)

    @property
    def ramp(self) -> Floats:
        """From just above 0 on the first row to 1 on the last."""
        count = self.stop - self.start
        return np.arange(1, count + 1, dtype=np.float64) / count


@dataclass(frozen=True)
class Condition:
    """What is wrong with the machine itself, per row; all zero when healthy."""

    leak: Floats = field(default_factory=lambda: np.zeros(TOTAL_ROWS))  # share of rated flow
    slip: Floats = field(default_factory=lambda: np.zeros(TOTAL_ROWS))  # share of speed
    wear: Floats = field(default_factory=lambda: np.zeros(TOTAL_ROWS))  # mm/s of vibration


@dataclass(frozen=True)
class SampleLogs:
    """A healthy log to train on, the live log that follows it, and the live log's faults."""

    normal: pl.DataFrame
    live: pl.DataFrame
    faults: pl.DataFrame


def simulate(seed: int = DEFAULT_SEED) -> SampleLogs:
    """Simulate the station; the same seed gives the same frames.

    `normal` has `timestamp`, `pump` and the sensors; `live` has `label` (0 or 1) besides; `faults`
    has one row per event: `pump`, `kind`, `start` and `end` (both included), `sensors` (those that
    show it, the clearest first, joined by semicolons) and `rows` (labelled rows of the live log).
    """
    frames: list[pl.DataFrame] = []
    events: list[dict[str, object]] = []
    for pump in PUMPS:
        faults = schedule(seed, pump)
        healthy = log_readings(seed, pump, run_pump(seed, pump, Condition()), faults=())
        observed = log_readings(seed, pump, run_pump(seed, pump, machine_condition(faults)), faults)
        deviating = {
            sensor.name: np.abs(observed[sensor.name] - healthy[sensor.name])
            > DETECTABLE_SIGMAS * sensor.sigma
            for sensor in SENSORS
        }
        spans = list(event_spans(faults, deviating))
        label = np.zeros(TOTAL_ROWS, dtype=np.int64)
        for fault, span in zip(faults, spans, strict=True):
            label[span] = 1
            events.append(describe_event(fault, span, deviating))
        frames.append(pump_frame(seed, pump, observed, label))

    station = pl.concat(frames).sort("timestamp", "pump")
    live_start = START + timedelta(days=NORMAL_DAYS)
    return SampleLogs(
        normal=station.filter(pl.col("timestamp") < live_start).drop("label"),
        live=station.filter(pl.col("timestamp") >= live_start),
        faults=pl.DataFrame(events).sort("start", "pump"),
    )


def stream(seed: int, *names: str) -> np.random.Generator:
    """The random stream of one part, so that a change in one part leaves the others alone."""
    return np.random.default_rng([seed, zlib.crc32("/".join(names).encode())])


def run_pump(seed: int, pump: Pump, condition: Condition) -> Readings:
    """The true state of a pump, before its sensors add noise: one array of all rows a sensor."""
    wanted = pump.rated_flow * demand(seed, pump)
    curves = pump.pump_curve + pump.main_curve
    set_speed = np.sqrt((pump.static_head + curves * wanted**2) / pump.shutoff_head)
    speed = np.minimum(first_order_lag(set_speed, lag_rows=1.5), MAX_SPEED)
    shaft = speed * (1.0 - condition.slip)
    head, delivered, leaking = operating_point(pump, shaft, condition.leak)
    flow = delivered + leaking

    load = flow / (shaft * pump.rated_flow)
    efficiency = 0.80 * (1.0 - 0.9 * (load - 1.0) ** 2)
    shaft_power = WATER_KW * flow * head / efficiency
    rated_power = WATER_KW * pump.rated_flow * pump.rated_head / 0.80
    power = shaft_power / MOTOR_EFFICIENCY + 0.02 * rated_power * condition.wear
    no_load_current = 0.25 * rated_power / KW_PER_AMPERE

    heat = 9.0 + 24.0 * shaft_power / rated_power + 11.0 * condition.wear
    roughness = wander(stream(seed, pump.name, "roughness"), memory_hours=0.6, sigma=0.04)
    # The filling valve keeps the level, giving way a little under high demand.
    level = first_order_lag(3.2 - 0.9 * (flow / pump.rated_flow - 0.75), lag_rows=6.0)
    inlet = BAR_PER_METRE * (level - 0.5 * (flow / pump.rated_flow) ** 2)
    return {
        "speed_rpm": pump.rated_rpm * speed,
        "flow_m3h": delivered,
        "inlet_pressure_bar": inlet,
        "outlet_pressure_bar": inlet + BAR_PER_METRE * head,
        "motor_current_a": np.hypot(power / KW_PER_AMPERE, no_load_current),
        "power_kw": power,
        "bearing_temp_c": first_order_lag(ambient(seed) + heat, lag_rows=9.0),
        "vibration_mm_s": 0.3
        + 2.0 * shaft**2
        + 1.5 * (load - 1.0) ** 2
        + roughness
        + condition.wear,
        "tank_level_m": level,
    }


def operating_point(pump: Pump, shaft: Floats, leak: Floats) -> tuple[Floats, Floats, Floats]:
    """Where the pump curve meets the main: head in m, delivered and leaking flow in m³/h.

    Bisection on the head: what the main and the leak take rises with it, what the pump gives falls.
    """
    leak_curve = leak * pump.rated_flow / np.sqrt(pump.rated_head)
    shutoff = pump.shutoff_head * shaft**2
    low, high = np.full_like(shaft, pump.static_head), shutoff
    for _ in range(50):
        head = (low + high) / 2
        delivered = np.sqrt((head - pump.static_head) / pump.main_curve)
        leaking = leak_curve * np.sqrt(head)
        too_high = head > shutoff - pump.pump_curve * (delivered + leaking) ** 2
        low, high = np.where(too_high, low, head), np.where(too_high, head, high)
    return head, delivered, leaking


def demand(seed: int, pump: Pump) -> Floats:
    """Wanted flow as a share of rated flow: a daily cycle, weekends apart, and slow wander."""
    hour = hours() % 24
    weekday = 0.56 + bump(hour, 7.5, 2.1, 0.30) + bump(hour, 12.5, 2.8, 0.16)
    weekday += bump(hour, 19.0, 2.5, 0.30)
    weekend = 0.56 + bump(hour, 8.4, 2.1, 0.27) + bump(hour, 12.8, 2.9, 0.17)
    weekend += bump(hour, 19.2, 2.5, 0.28)
    day_of_week = (START.weekday() + hours() // 24) % 7
    cycle = np.where(day_of_week >= 5, weekend, weekday)
    town = wander(stream(seed, "town"), memory_hours=3.0, sigma=0.007)
    district = wander(stream(seed, pump.name, "district"), memory_hours=0.7, sigma=0.015)
    season = 0.0003 * hours() / 24
    return cycle + town + district + season


def ambient(seed: int) -> Floats:
    """Temperature in the pump hall in °C: day and night, weather, and spring coming on."""
    day_and_night = 2.5 * np.cos(2 * np.pi * (hours() - 15.5) / 24)
    weather = wander(stream(seed, "weather"), memory_hours=6.0, sigma=0.25)
    return 15.0 + day_and_night + weather + 0.015 * hours() / 24


def hours() -> Floats:
    """Hours since the start, one value a row."""
    return np.arange(TOTAL_ROWS, dtype=np.float64) / ROWS_PER_HOUR


def bump(hour: Floats, centre: float, width: float, height: float) -> Floats:
    """A bell over the hours of the day, wrapped at midnight."""
    distance = (hour - centre + 12.0) % 24.0 - 12.0
    return height * np.exp(-0.5 * (distance / width) ** 2)


def wander(random: np.random.Generator, memory_hours: float, sigma: float) -> Floats:
    """A stationary random walk that forgets within about `memory_hours`; never beyond 1.6 sigmas."""
    keep = float(np.exp(-1.0 / (memory_hours * ROWS_PER_HOUR)))
    steps = random.normal(0.0, np.sqrt(1.0 - keep**2), TOTAL_ROWS)
    values = np.empty(TOTAL_ROWS)
    value = random.normal()
    for row, step in enumerate(steps):
        value = keep * value + step
        values[row] = value
    return sigma * 1.6 * np.tanh(values)


def first_order_lag(target: Floats, lag_rows: float) -> Floats:
    """The target as seen through a first-order lag with this time constant."""
    share = 1.0 - float(np.exp(-1.0 / lag_rows))
    values = np.empty_like(target)
    value = float(target[0])
    for row, goal in enumerate(target):
        value += share * (float(goal) - value)
        values[row] = value
    return values


def schedule(seed: int, pump: Pump) -> tuple[Fault, ...]:
    """The pump's planned faults, their start, length and strength varied by the seed."""
    faults: list[Fault] = []
    for plan in FAULT_PLAN:
        if plan.pump != pump.name:
            continue
        random = stream(seed, plan.pump, plan.kind, f"day {plan.day}", "schedule")
        planned = NORMAL_ROWS + plan.day * ROWS_PER_DAY + plan.hour * ROWS_PER_HOUR
        start = planned + int(random.integers(-ROWS_PER_HOUR, ROWS_PER_HOUR + 1))
        rows = round(plan.rows * random.uniform(0.9, 1.1))
        strength = plan.strength * random.uniform(0.9, 1.1)
        faults.append(Fault(plan, start, start + rows, strength))
    return tuple(faults)


def machine_condition(faults: Sequence[Fault]) -> Condition:
    """What the faults do to the machine itself."""
    machine = Condition()
    for fault in faults:
        if fault.plan.kind == "leak":
            machine.leak[fault.rows] = fault.strength * np.minimum(1.0, 1.4 * fault.ramp)
        elif fault.plan.kind == "bearing_wear":
            machine.wear[fault.rows] = fault.strength * fault.ramp
        elif fault.plan.kind == "broken_relation" and not fault.plan.sensors:
            machine.slip[fault.rows] = fault.strength
    return machine


def log_readings(seed: int, pump: Pump, state: Readings, faults: Sequence[Fault]) -> Readings:
    """What the sensors report: the state with noise and sensor faults, rounded."""
    readings: Readings = {}
    for sensor in SENSORS:
        noise = stream(seed, pump.name, sensor.name, "noise").normal(0.0, sensor.sigma, TOTAL_ROWS)
        values = state[sensor.name] + noise
        for fault in faults:
            if sensor.name in fault.plan.sensors:
                plan = fault.plan
                random = stream(seed, plan.pump, plan.kind, f"day {plan.day}", "reading")
                values[fault.rows] = misread(values, sensor, fault, random)
        readings[sensor.name] = np.round(values, sensor.decimals)
    return readings


def misread(
    values: Floats, sensor: Sensor, fault: Fault, random: np.random.Generator
) -> Floats | np.float64:
    """What a faulty sensor reports on the fault's rows."""
    reading = values[fault.rows]
    if fault.plan.kind == "stuck":
        return np.float64(values[fault.start - 1])
    if fault.plan.kind == "drift":
        return reading + fault.strength * sensor.sigma * fault.ramp
    if fault.plan.kind == "spike":
        hit = random.random(len(reading)) < 0.5
        hit[[0, -1]] = True
        height = random.uniform(0.7, 1.3, len(reading)) * random.choice([-1.0, 1.0], len(reading))
        return reading + np.where(hit, fault.strength * sensor.sigma * height, 0.0)
    # A broken relation: the reading hardly swings around its usual value any more.
    usual = np.mean(values[:NORMAL_ROWS])
    return reading + fault.strength * (usual - reading)


def event_spans(faults: Sequence[Fault], deviating: dict[str, Flags]) -> Iterator[slice]:
    """The rows of each event; a fault's after-effects count up to the next fault."""
    anywhere = np.any(list(deviating.values()), axis=0)
    limits = [fault.start for fault in faults[1:]] + [TOTAL_ROWS]
    for fault, limit in zip(faults, limits, strict=True):
        if fault.plan.kind == "stuck":
            yield fault.rows
        else:
            rows = fault.start + np.flatnonzero(anywhere[fault.start : limit])
            yield slice(int(rows[0]), int(rows[-1]) + 1)


def describe_event(fault: Fault, span: slice, deviating: dict[str, Flags]) -> dict[str, object]:
    """The event's row of the faults table; a sensor that deviates on a quarter of its rows shows it."""
    share = {name: float(np.mean(flags[span])) for name, flags in deviating.items()}
    showing = [name for name in share if share[name] >= 0.25 or name in fault.plan.sensors]
    showing.sort(key=lambda name: -share[name])
    return {
        "pump": fault.plan.pump,
        "kind": fault.plan.kind,
        "start": time_of(span.start),
        "end": time_of(span.stop - 1),
        "sensors": ";".join(showing),
        "rows": span.stop - span.start,
    }


def time_of(row: int) -> datetime:
    """The timestamp of a row."""
    return START + timedelta(minutes=PERIOD_MINUTES * row)


def pump_frame(seed: int, pump: Pump, readings: Readings, label: NDArray[np.int64]) -> pl.DataFrame:
    """One pump's rows as logged: without the gaps, and with missing cells."""
    logged = np.ones(TOTAL_ROWS, dtype=np.bool_)
    for gap in GAP_PLAN:
        if pump.name in gap.pumps:
            first = gap.day * ROWS_PER_DAY + gap.hour * ROWS_PER_HOUR
            logged[first : first + gap.rows] = False
    columns: dict[str, pl.Series] = {
        "timestamp": pl.Series([time_of(row) for row in range(TOTAL_ROWS)], dtype=pl.Datetime("us"))
    }
    for name, values in readings.items():
        lost = missing_cells(stream(seed, pump.name, name, "missing"), logged)
        columns[name] = pl.select(
            pl.when(pl.Series(~lost)).then(pl.Series(values, dtype=pl.Float64))
        ).to_series()
    frame = pl.DataFrame({**columns, "label": label}).filter(pl.Series(logged))
    return frame.insert_column(1, pl.lit(pump.name).alias("pump"))


def missing_cells(random: np.random.Generator, logged: Flags) -> Flags:
    """Cells that one sensor lost: single ones and runs of two to four rows.

    Never the first row of a segment, and never two runs side by side, so a run stays short and
    always has an earlier reading to fill it from.
    """
    lost = np.zeros(TOTAL_ROWS, dtype=np.bool_)
    for length in [1] * 8 + random.integers(2, 5, size=2).tolist():
        start = int(random.integers(1, TOTAL_ROWS - length))
        around = slice(start - 1, start + length + 1)
        if logged[around].all() and not lost[around].any() and not starts_log(start, length):
            lost[start : start + length] = True
    return lost


def starts_log(start: int, length: int) -> bool:
    """Whether these rows hold the first row of the live log."""
    return start <= NORMAL_ROWS < start + length


def write(logs: SampleLogs, folder: Path) -> list[Path]:
    """Write the logs to a folder; returns the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    normal, live, faults = (folder / name for name in ("normal.parquet", "live.csv", "faults.csv"))
    logs.normal.write_parquet(normal, compression="zstd")
    logs.live.write_csv(live, datetime_format="%Y-%m-%d %H:%M:%S")
    logs.faults.write_csv(faults, datetime_format="%Y-%m-%d %H:%M:%S")
    return [normal, live, faults]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the logs of one seed to a folder."""
    parser = argparse.ArgumentParser(description="Simulate the logs of a small pumping station.")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default: %(default)s")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).parent,
        help="folder to write to (default: this script's)",
    )
    options = parser.parse_args(arguments)
    for path in write(simulate(options.seed), options.output):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
