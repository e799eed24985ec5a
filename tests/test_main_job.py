"""The main job with the defaults: what users are promised, on the sample and on real logs."""

import os
from pathlib import Path

import polars as pl
import pytest

from aster_cli.backbones import fetch
from aster_cli.config import ColumnConfig, DetectorConfig, TimeConfig
from aster_cli.errors import BackboneError
from aster_cli.evaluation.comparison import baseline_scores, compare, segments, truth_of
from aster_cli.evaluation.metrics import Metrics
from aster_cli.logs import open_log

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("ASTER_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="module", autouse=True)
def backbone() -> None:
    try:
        fetch()
    except BackboneError as error:
        pytest.skip(f"the default language model is not to be had here: {error}")


def _judge(normal: Path, live: Path, *ids: str) -> tuple[Metrics, Metrics]:
    """The default detector, and PCA on the same rows."""
    from aster_cli.detector import Detector

    columns = ColumnConfig(id_cols=ids)
    scores = Detector.fit(normal, DetectorConfig(columns=columns)).score(live)
    with open_log([str(normal)], columns, TimeConfig()) as log:
        learnt, schema = segments(log), log.schema
    with open_log([str(live)], columns, TimeConfig(), expected=schema) as log:
        truth, labelled = truth_of(log), segments(log)
    pca = baseline_scores("pca", truth, learnt, labelled, seed=0)
    return compare(truth, scores), truth.judge(pca)


def test_sample_faults_are_found_and_normal_rows_are_left_alone():
    """The first thing that a newcomer runs must keep its promise."""
    found, pca = _judge(
        ROOT / "sample_data" / "normal.parquet", ROOT / "sample_data" / "live.csv", "pump"
    )
    assert found.auc_roc is not None
    assert pca.auc_roc is not None
    assert found.auc_roc >= 0.90
    assert found.auc_roc > pca.auc_roc
    assert found.event_recall is not None
    assert found.event_recall >= 0.8
    assert found.false_alarm_rate is not None
    assert found.false_alarm_rate <= 0.02


def test_a_real_pump_log_of_400_rows_is_enough():
    """Short logs with drift are common, and PCA is what people try first."""
    folder = DATA / "SKAB" / "valve1-10"
    if not folder.is_dir():
        pytest.skip(f"real logs are not at hand: {folder} is not there")
    found, pca = _judge(folder / "train.parquet", folder / "test.parquet")
    assert found.auc_roc is not None
    assert pca.auc_roc is not None
    assert found.auc_roc >= 0.80
    assert found.auc_roc > pca.auc_roc


def test_the_same_seed_gives_the_same_bytes_with_the_default_model(tmp_path):
    """A detector that cannot be repeated cannot be audited."""
    import msgspec

    from aster_cli.detector import Detector

    normal = pl.read_parquet(ROOT / "sample_data" / "normal.parquet").filter(pump="P1").head(400)
    normal.drop("pump").write_parquet(tmp_path / "normal.parquet")
    base = DetectorConfig()
    config = msgspec.structs.replace(
        base, training=msgspec.structs.replace(base.training, steps=12)
    )
    written = []
    for run in ("first", "second"):
        detector = Detector.fit(tmp_path / "normal.parquet", config)
        target = tmp_path / f"{run}.csv"
        detector.score(tmp_path / "normal.parquet").drop("top_sensors").write_csv(target)
        written.append((detector.model_id, target.read_bytes()))
    assert written[0] == written[1]
