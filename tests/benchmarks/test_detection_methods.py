"""The benchmark's methods: one score a row, the same for the same seed, named by their code."""

from pathlib import Path

import numpy as np
import pytest

from aster_cli.calibration import CLASSIFIER_WEIGHT
from benchmarks.detection.ablation import VARIANTS
from benchmarks.detection.entities import ROOT
from benchmarks.detection.methods import ALL_METHODS, METHODS, MethodEntry
from benchmarks.detection.ours import Aster
from benchmarks.detection.windows import mean_over_windows, spread_evenly, training_windows
from tests.benchmarks.detection_logs import write_entities
from tests.tiny_detector import tiny_config, wave

LIGHT = ("random", "kmeans", "pca", "mahalanobis")
OF_PYOD = ("knn-20", "knn-40", "isolation-forest", "hbos", "lof", "ocsvm", "dense-autoencoder")


def _hash_of(file: Path, text: str) -> str:
    file.write_text(text)
    return MethodEntry(METHODS["pca"].make, False, (file,)).code_hash()


def test_the_code_hash_sees_code_and_nothing_else(tmp_path):
    """Days of results must outlive a docstring, and must not outlive a changed number."""
    file = tmp_path / "peer.py"
    first = _hash_of(file, '"""One."""\n\n\ndef f():\n    """Two."""\n    return 1\n')
    assert _hash_of(file, '"""Other."""\n# more\ndef f():\n    return 1\n') == first
    assert _hash_of(file, "def f():\n    return 2\n") != first


def test_the_model_decides_asters_hash_and_the_command_line_does_not():
    """What is left out here would leave results standing that no code can repeat."""
    sources = {path.relative_to(ROOT).as_posix() for path in METHODS["aster"].sources}
    assert "aster_cli/model/aster.py" in sources
    assert "aster_cli/training.py" in sources
    assert "aster_cli/config.py" in sources
    assert "aster_cli/cli/train.py" not in sources
    assert "aster_cli/render/text.py" not in sources


def test_every_variant_has_a_hash_of_its_own():
    """They share their files; configuration and name tell them apart, so that none is taken for
    another that has been run already."""
    own = {name: ALL_METHODS[name] for name in ("aster", *VARIANTS)}
    assert len(own) > 10
    assert len({entry.code_hash() for entry in own.values()}) == len(own)


def test_asters_parts_join_to_its_score(tmp_path):
    """What is judged as a part must be what is in the whole. And asking for the parts must leave
    the detector what it was."""
    wave(300).write_parquet(tmp_path / "normal.parquet")
    log = tmp_path / "log.parquet"
    wave(160, seed=4, spike=True).write_parquet(log)
    method = Aster(tiny_config(), 0)
    method.fit(tmp_path / "normal.parquet")
    whole, parts = method.score(log), method.parts(log)
    assert parts.keys() == {"classifier", "window"}
    excess = np.maximum(parts["classifier"], 0.0)
    assert (excess > 0.0).any()
    np.testing.assert_allclose(whole.values, parts["window"] + CLASSIFIER_WEIGHT * np.log1p(excess))
    np.testing.assert_array_equal(method.score(log).values, whole.values)


@pytest.mark.parametrize("name", [*LIGHT, *OF_PYOD])
# the windows are a view of the log, which torch dislikes and PyOD does not write to
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning")
def test_peers_score_every_row_and_repeat_themselves(name, tmp_path):
    """A peer that fails or draws anew would be compared by chance."""
    if name in OF_PYOD:
        pytest.importorskip("pyod", reason="peers need the group: pip install --group bench")
    entity = write_entities(tmp_path)[0]
    found = []
    for _ in range(2):
        peer = METHODS[name].make(3)
        peer.fit(entity.train)
        found.append(peer.score(entity.test).values)
    assert found[0].shape == (60,)
    assert np.isfinite(found[0]).all()
    np.testing.assert_array_equal(found[0], found[1])
    if name != "random":
        assert found[0][42:48].min() > np.median(found[0][:30])


def test_rows_get_the_mean_of_the_windows_over_them():
    """Three windows of two rows over four rows, by pencil."""
    rows = mean_over_windows(np.array([1.0, 3.0, 5.0]), 2, 4)
    np.testing.assert_array_equal(rows, [1, 2, 4, 5])
    by_row = np.array([[1.0, 2.0], [4.0, 6.0], [8.0, 9.0]])
    np.testing.assert_array_equal(mean_over_windows(by_row, 2, 4), [1, 3, 7, 9])
    assert np.isnan(mean_over_windows(np.empty(0), 2, 1)).all()


def test_training_windows_are_spread_over_all_segments():
    """Windows never reach over a gap, and a cap must not drop the end of the log."""
    first = np.arange(4, dtype=np.float32).reshape(4, 1)
    second = np.arange(10, 13, dtype=np.float32).reshape(3, 1)
    every = training_windows([first, second], 2)
    assert every[:, :, 0].tolist() == [[0, 1], [1, 2], [2, 3], [10, 11], [11, 12]]
    some = training_windows([first, second], 2, most=3)
    assert some[:, :, 0].tolist() == [[0, 1], [2, 3], [11, 12]]
    assert spread_evenly(5, 9).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="window of 9 rows"):
        training_windows([first], 9)
