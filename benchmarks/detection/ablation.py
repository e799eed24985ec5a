"""Aster with one part taken away or replaced: run by name, kept out of the ranks."""

import msgspec

from aster_cli.config import DetectorConfig, ModelConfig


def _with_model(**changes: object) -> DetectorConfig:
    return DetectorConfig(model=msgspec.structs.replace(ModelConfig(), **changes))


VARIANTS: dict[str, DetectorConfig] = {
    "aster-no-backbone": _with_model(backbone="none"),
    "aster-frozen-backbone": _with_model(lora_rank=0),
    "aster-linear-classifier": _with_model(classifier="linear"),
}
"""Each by its name, which begins with ``aster-``."""
