"""The HTML report: one self-contained page that opens from disk and asks no network.

`RowCollector` follows score tables as they go by; `Report` makes the page of them, of the log that
they are of, and of the model's card. Rows become bins that keep what stands out (see `bins`), so the
page stays small however long the log is.
"""

from aster_cli.report.document import Report
from aster_cli.report.judged import Judged
from aster_cli.report.rows import ReportRows, RowCollector

__all__ = ["Judged", "Report", "ReportRows", "RowCollector"]
