"""``aster train --per-id``: a detector for each machine, and a pooled one for machines not seen."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from aster_cli import Detector, fitting, judges, per_id
from aster_cli.checkpoint import (
    Checkpoint,
    MachineDetectors,
    MachineThreshold,
    PartialTraining,
    folder_of,
    load_machine,
    read_card,
)
from aster_cli.errors import UsageError
from aster_cli.logs import Log, read_scores
from aster_cli.model.device import batch_windows
from aster_cli.results import MachineId, Series
from tests.cli.conftest import FAST, Aster, Save
from tests.forged import forge_arrays, forge_json
from tests.tiny_detector import interleaved, wave

HOSTILE = "../B"
MACHINES = ("a", HOSTILE)
KEYS = ["timestamp", "unit"]
Refused = Callable[..., str]


def normal(*units: str) -> pl.DataFrame:
    return interleaved(*(wave(250, seed=len(unit), unit=unit) for unit in units))


def live() -> pl.DataFrame:
    units = (*MACHINES, "short", "unseen")
    return interleaved(*(wave(120, seed=7, spike=True, unit=unit) for unit in units))


@cache
def trained(base: Path) -> Path:
    """The shared model; only to be read."""
    folder = base / "per-id"
    folder.mkdir()
    log = interleaved(normal(*MACHINES), wave(30, seed=5, unit="short"))
    log.write_parquet(folder / "log.parquet")
    detectors = PartialTraining(folder / "fleet.aster")
    with detectors.held():
        detector = Detector.fit(
            folder / "log.parquet",
            id_cols="unit",
            backbone="none",
            steps=2,
            window_size=8,
            precision="fp32",
            per_id=True,
            partial=detectors,
        )
        detector.save(folder / "fleet.aster")
        detectors.remove()
    return folder / "fleet.aster"


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.getbasetemp())


def scored(model: Path | str, aster: Aster, log: str) -> pl.DataFrame:
    assert aster("score", log, "-m", model, "-o", "scores.parquet", "-q").code == 0
    return read_scores("scores.parquet").drop("model_id", "event_id")


def of(unit: str, scores: pl.DataFrame) -> pl.DataFrame:
    return scores.filter(pl.col("unit") == unit)


def test_each_machine_is_scored_as_by_a_detector_of_it_alone(
    fleet: Path, aster: Aster, save: Save
) -> None:
    """Scores, thresholds and severities; what others do must not matter to it."""
    log = save(live(), "live.parquet")
    together = scored(fleet, aster, log)
    for unit in MACHINES:
        alone = save(normal(unit), "alone.parquet")
        assert (
            aster("train", alone, "--id-col", "unit", *FAST, "-o", "m.aster", "--force").code == 0
        )
        assert_frame_equal(of(unit, together), of(unit, scored("m.aster", aster, log)))


def test_machines_that_share_no_detector_are_read_in_small_batches(fleet: Path) -> None:
    """Each machine fills one of its own, which would be padding for the most part."""
    own = fleet / "detectors" / folder_of(("a",))
    batches = [read_card(path).manifest.scoring.batch_windows for path in (fleet, own)]
    assert batches == [batch_windows(torch.device("cpu"), 2, per_id=True)] * 2


def test_others_are_scored_by_the_pooled_one(fleet: Path, aster: Aster, save: Save) -> None:
    """Machines never seen, and those with too few rows of their own."""
    log = save(live(), "live.parquet")
    shutil.copy(fleet.parent / "log.parquet", "log.parquet")
    assert aster("train", "log.parquet", "--id-col", "unit", *FAST).code == 0
    together, pooled = scored(fleet, aster, log), scored("log.aster", aster, log)
    for unit in ("short", "unseen"):
        assert_frame_equal(of(unit, together), of(unit, pooled))
    assert not of("a", together).equals(of("a", pooled))


def test_scored_in_runs_it_is_as_in_one_go(fleet: Path, aster: Aster, save: Save) -> None:
    """The state knows machines; which detector judges them does not concern it."""
    whole = save(live(), "live.parquet")
    for rows in (150, 301, 480):
        part = save(live()[:rows], f"part{rows}.parquet")
        step = ("-m", fleet, "--state", "state", "-o", "scores", "-q")
        assert aster("score", part, *step).code == 0
    one = scored(fleet, aster, whole).sort(KEYS).drop("status")
    runs = read_scores("scores").drop("model_id", "event_id").sort(KEYS).drop("status")
    assert_frame_equal(runs, one, check_exact=True)


def test_machines_with_detectors_are_read_in_larger_batches(
    fleet: Path, aster: Aster, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A detector is read once a batch, so a thousand machines of eight rows each took ten times as
    long; the scores are the same, and a wide log is bounded."""
    read = []
    stream = Log._stream

    def followed(log: Log, rows: int, rising: Any) -> Any:
        read.append(rows)
        return stream(log, rows, rising)

    monkeypatch.setattr(Log, "_stream", followed)
    monkeypatch.setattr("aster_cli.logs.log.BATCH_ROWS", 16)
    log, found = save(live(), "log.csv"), []
    for rows_of_each, cells, expected in ((8, 10**6, 32), (40, 10**6, 160), (40, 90, 30)):
        monkeypatch.setattr("aster_cli.cli.score.ROWS_OF_OWN", rows_of_each)
        monkeypatch.setattr("aster_cli.cli.score.MOST_CELLS", cells)
        assert aster("score", log, "-m", fleet, "-o", "s.parquet").code == 0
        assert read.pop() == expected
        found.append(pl.read_parquet("s.parquet"))
    for one in found[1:]:
        assert_frame_equal(one, found[0], check_exact=True)


def test_a_detector_is_read_once_however_few_are_kept(
    fleet: Path, aster: Aster, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it takes longer than scoring a few rows, and a machine's last rows need it again."""
    read = []

    def followed(detectors: MachineDetectors, machine: MachineId) -> Checkpoint:
        read.append(machine)
        return load_machine(detectors, machine)

    monkeypatch.setattr(judges, "MEMORY", 1)
    monkeypatch.setattr(judges, "load_machine", followed)
    assert aster("score", save(live(), "log.csv"), "-m", fleet, "-o", "s.parquet").code == 0
    assert read == [("a",), (HOSTILE,)]


def test_the_model_says_what_it_holds(fleet: Path, aster: Aster) -> None:
    """And another threshold rests on the scores of the machine's own detector."""
    shown = aster("inspect", fleet).out
    assert "2 of single machines, and a pooled one" in shown
    assert "of single machines, and a pooled one |" in (fleet / "README.md").read_text()
    card = read_card(fleet)
    (note,) = card.training.notes
    assert note == "too short for a detector of its own, served by the pooled one: 'short'"
    for unit in MACHINES:
        own = read_card(fleet / "detectors" / folder_of((unit,)))
        assert own.manifest.model_id == card.manifest.detectors[str(folder_of((unit,)))]
        assert MachineThreshold((unit,), own.training.threshold) in card.training.thresholds
        assert "backbone.safetensors" not in own.manifest.files


def test_a_machine_that_does_not_converge_is_left_to_the_pooled_one(
    aster: Aster, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the others have learnt must not be lost to it."""
    fit = fitting.fit_detector

    def diverging(series: list[Series], *args: Any, **more: Any) -> Checkpoint:
        if [one.machine for one in series] == [("a",)]:
            raise UsageError("training does not converge")
        return fit(series, *args, **more)

    monkeypatch.setattr(per_id, "fit_detector", diverging)
    log = save(normal(*MACHINES), "log.parquet")
    assert aster("train", log, "--id-col", "unit", *FAST, "--per-id", "-o", "m.aster").code == 0
    card = read_card(Path("m.aster"))
    assert list(card.manifest.detectors) == [str(folder_of((HOSTILE,)))]
    (note,) = card.training.notes
    assert note == "no detector of its own converges, served by the pooled one: 'a'"


def test_thresholds_are_drawn_from_each_machines_own_scores(
    fleet: Path, aster: Aster, save: Save
) -> None:
    """The default rule, drawn anew, gives the alarms that were there."""
    before = scored(fleet, aster, save(live(), "live.parquet"))
    assert aster("threshold", "scores.parquet", "-m", fleet, "-o", "again.parquet", "-q").code == 0
    again = read_scores("again.parquet")
    assert_frame_equal(again.select(*KEYS, "threshold"), before.select(*KEYS, "threshold"))


def test_one_machine_needs_no_detectors_of_its_own(refused: Refused, save: Save) -> None:
    """Without an id column there is nothing to tell apart."""
    save(wave(250), "log.csv")
    complaint = refused(2, "train", "log.csv", *FAST, "--per-id")
    assert complaint == "aster: --per-id: there is one machine only; name the ids with --id-col"


@pytest.mark.parametrize("how", ["altered", "gone", "another machine's"])
def test_a_detector_that_is_not_as_written_is_refused(
    how: str, fleet: Path, aster: Aster, save: Save
) -> None:
    """Every file of every machine is vouched for, the choice of the detector too."""
    copy = Path(shutil.copytree(fleet, "copy.aster"))
    own = copy / "detectors" / "a"
    match how:
        case "altered":
            data = bytearray((own / "weights.safetensors").read_bytes())
            data[-1] ^= 1
            (own / "weights.safetensors").write_bytes(data)
        case "gone":
            shutil.rmtree(own)
        case _:
            shutil.rmtree(own)
            shutil.copytree(copy / "detectors" / folder_of((HOSTILE,)), own)
    ended = aster("score", save(live(), "live.parquet"), "-m", copy, "-o", "s.parquet")
    assert ended.code == 4
    assert "copy.aster/detectors/a" in ended.complaint


def test_an_interrupted_one_goes_on_where_it_was(
    fleet: Path, aster: Aster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines that are ready are not trained again, and the model is the same."""
    shutil.copy(fleet.parent / "log.parquet", "log.parquet")
    call = ("train", "log.parquet", "--id-col", "unit", *FAST, "--per-id", "-q", "-o", "m.aster")
    write, left, trained_on = PartialTraining.write, 5, []

    def counted(self: PartialTraining, *args: Any) -> None:
        nonlocal left
        write(self, *args)
        trained_on.append(self.target.name)
        left -= 1
        if not left:
            raise KeyboardInterrupt

    # three epochs of the pooled one, then two of the three of the first machine
    monkeypatch.setattr(PartialTraining, "write", counted)
    assert aster(*call).code == 130
    trained_on.clear()
    assert aster(*call, "--resume").code == 0
    assert trained_on == ["a", *[str(folder_of((HOSTILE,)))] * 3]
    assert read_card(Path("m.aster")).manifest.model_id == read_card(fleet).manifest.model_id
    assert not Path("m.aster.partial").exists()


def test_a_machine_is_not_looked_for_outside_of_the_model(
    fleet: Path, save: Save, aster: Aster
) -> None:
    """A folder that is a link leads to what nobody vouched for."""
    copy = Path(shutil.copytree(fleet, "copy.aster"))
    own = copy / "detectors" / folder_of(("a",))
    shutil.move(own, "elsewhere")
    own.symlink_to(Path("elsewhere").resolve())
    ended = aster("score", save(live(), "live.parquet"), "-m", copy, "-o", "s.parquet")
    assert ended.code == 4
    assert "symbolic link" in ended.complaint


def test_a_machines_arrays_are_like_those_of_the_whole_model(
    fleet: Path, save: Save, aster: Aster
) -> None:
    """Forged ones are sealed too; only the whole model's have been held against its configuration."""
    copy = Path(shutil.copytree(fleet, "copy.aster"))
    more = {"more": np.zeros(1, dtype=np.float32)}
    forge_arrays(
        copy / "detectors" / "a", "weights.safetensors", lambda arrays: arrays.update(more)
    )
    model_id = read_card(copy / "detectors" / "a").manifest.model_id
    forge_json(copy, "manifest.json", lambda manifest: manifest["detectors"].update(a=model_id))
    ended = aster("score", save(live(), "live.parquet"), "-m", copy, "-o", "s.parquet")
    assert ended.code == 4
    assert "not like those of the whole model" in ended.complaint
