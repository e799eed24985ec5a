"""PyArrow's rows as a Polars frame, whoever wrote the file that they come from."""

import polars as pl
import pyarrow as pa


def taken_over(rows: pa.RecordBatch | pa.Table, *, text: bool = False) -> pl.DataFrame:
    """Take rows over, checked cell by cell.

    Args:
        rows: What PyArrow has read.
        text: Whether categories become the text that they stand for.

    Raises:
        pyarrow.ArrowInvalid: A cell lies where there is none, or Polars has no place for it.
    """
    rows.validate(full=True)  # a file can say that a cell lies where there is none
    # metadata is nobody's to check, and Polars panics where it is no UTF-8
    bare = pa.schema([pa.field(field.name, field.type) for field in rows.schema])
    rows = type(rows).from_arrays(rows.columns, schema=bare)
    categories = pl.selectors.categorical() | pl.selectors.enum()
    try:
        frame = pl.DataFrame(rows)
        return frame.cast({categories: pl.String()}) if text else frame
    except (pl.exceptions.PanicException, pl.exceptions.PolarsError) as error:
        raise pa.ArrowInvalid(f"Polars cannot take it over ({error})") from error
