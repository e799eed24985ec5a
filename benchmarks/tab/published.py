"""The best rows that TAB has published, to stand beside ours.

From Qiu et al., *TAB: Unified Benchmarking of Time Series Anomaly Detection Methods*, PVLDB 18,
2025: for each dataset the method that leads by AUC-ROC, and the one that leads by AUC-PR.
"""

import msgspec


class Best(msgspec.Struct, frozen=True):
    """A method that leads, and its figure."""

    method: str
    value: float

    def __str__(self) -> str:
        """As a cell of the table."""
        return f"{self.method} {self.value:.3f}"


class Published(msgspec.Struct, frozen=True, rename={"auc_roc": "AUC-ROC", "auc_pr": "AUC-PR"}):
    """The best methods of one dataset."""

    auc_roc: Best
    auc_pr: Best


PUBLISHED = {
    "PSM": Published(Best("HBOS", 0.773), Best("LSTM-ED", 0.584)),
    "PUMP": Published(Best("HBOS", 0.874), Best("HBOS", 0.423)),
    "SWaT": Published(Best("CBLOF", 0.879), Best("KNN", 0.772)),
    "CATSv2": Published(Best("KNN", 0.727), Best("TimesNet", 0.261)),
    "SKAB": Published(Best("KMeans", 0.882), Best("KMeans", 0.833)),
    "SMD": Published(Best("CATCH", 0.824), Best("KMeans", 0.205)),
}

_BY_NAME = {name.casefold(): best for name, best in PUBLISHED.items()}


def published(name: str) -> Published | None:
    """The best of a dataset, however its name is capitalised; None where it is not listed here."""
    return _BY_NAME.get(name.casefold())
