"""Reading the tables that other jobs of the project wrote."""

import os
from collections.abc import Collection

import pandas as pd


def read_table(path: str | os.PathLike, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table of `files.write_table`; only an empty field is a missing value.

    So names such as "None", "NA" or "null" stay text, and in the columns `text` "007" does too.
    Columns of `text` that the table lacks are ignored.
    """
    dtypes = dict.fromkeys(text, str)
    return pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""])
