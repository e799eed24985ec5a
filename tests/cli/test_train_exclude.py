"""``aster train --exclude``: known incidents are skipped, and that is said."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import FAST, Aster, Save
from tests.tiny_detector import wave


def test_how_many_rows_were_skipped_is_said_and_recorded(save: Save, aster: Aster) -> None:
    """Whoever reads the model later must know what it has not seen."""
    log = save(wave(200), "log.csv")
    incidents = save("start,end\n2024-03-01 00:30,2024-03-01 00:39\n", "incidents.csv")
    ended = aster("train", log, "--exclude", incidents, "-o", "m.aster", *FAST)
    assert ended.code == 0
    assert "note: 10 rows lie in known incidents and are skipped" in ended.err
    record = json.loads(Path("m.aster/training.json").read_text())
    assert (record["rows"], record["excluded_rows"]) == (190, 10)


def test_incidents_that_cannot_be_read_stop_the_training(
    save: Save, refused: Callable[..., str]
) -> None:
    """Before any work is done; the row is named."""
    log = save(wave(200), "log.csv")
    incidents = save("start,end\n2024-03-01 00:39,2024-03-01 00:30\n", "incidents.csv")
    said = refused(3, "train", log, "--exclude", incidents, "-o", "m.aster", *FAST)
    assert "incidents.csv, row 1" in said
