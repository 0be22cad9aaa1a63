import pandas as pd

from dissent.files import write_table
from dissent.tables import read_table


def test_names_stay_text_and_only_empty_fields_are_missing(tmp_path):
    names = ["None", "NA", "null", "nan", "007", "1e5", "", "x,y"]
    table = pd.DataFrame({"name": names, "value": [0.5, None, 1, 2, 3, 4, 5, 6]})
    table["word"] = ["None", "NA", "null", "N/A", "a", "b", "c", "d"]
    write_table(table, tmp_path / "table.csv")
    found = read_table(tmp_path / "table.csv", text=("name", "not there"))
    assert list(found) == ["name", "value", "word"]
    assert found["name"].isna().tolist() == [name == "" for name in names]
    assert found["name"].fillna("").tolist() == names
    assert found["word"].tolist() == table["word"].tolist()
    pd.testing.assert_series_equal(found["value"], table["value"])
