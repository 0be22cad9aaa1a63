import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from dissent.commandline import InputError
from dissent.foreign_files import check_bytes, read_content

TABLE = pd.DataFrame({"id": ["007", "010"], "label": [3, 4], "p": [0.1, 0.30000000000000004]})


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "no array")
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", TABLE.to_csv(index=False).encode()),
        ("t.CSV", TABLE.to_csv(index=False).encode("utf-8-sig")),
        ("t.csv?download=1.0", TABLE.to_csv(index=False).encode()),
        ("t.csv", TABLE.to_csv(index=False, sep=";").encode("utf-8-sig")),
        ("t.tsv", TABLE.to_csv(index=False, sep="\t").encode()),
        ("t.txt", TABLE.to_csv(index=False, sep="\t", lineterminator="\r\n").encode()),
        ("t.json", TABLE.to_json(orient="records", double_precision=15).encode()),
        ("t.jsonl", TABLE.to_json(orient="records", lines=True, double_precision=15).encode()),
    ],
)
def test_tables_keep_ids_as_they_are_written_and_numbers_to_the_last_digit(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    read = read_content(tmp_path / name, text=("id", "not there"))
    assert list(read.columns) == list(TABLE.columns)
    assert read["id"].tolist() == ["007", "010"]
    assert read["label"].tolist() == [3, 4]
    if name.endswith((".json", ".jsonl")):  # pandas writes 15 digits of the 17
        np.testing.assert_allclose(read["p"], TABLE["p"], rtol=1e-14)
    else:
        assert read["p"].tolist() == TABLE["p"].tolist()


def test_no_text_stands_for_a_missing_value(tmp_path):
    (tmp_path / "t.csv").write_text("id,label\nNA,null\n,nan\n")
    read = read_content(tmp_path / "t.csv", text=("id", "label"))
    assert read.to_numpy().tolist() == [["NA", "null"], ["", "nan"]]


@pytest.mark.parametrize(
    ("written", "columns"),
    [
        ('"a;b;c",d\n1,2\n', ["a;b;c", "d"]),
        ('"a,b,""c";d\n1;2\n', ['a,b,"c', "d"]),
        ('"a;b\tc"\n1\n', ["a;b\tc"]),
        ("a b\n1\n", ["a b"]),
    ],
)
def test_what_is_quoted_separates_no_columns(tmp_path, written, columns):
    (tmp_path / "t.csv").write_text(written)
    assert list(read_content(tmp_path / "t.csv").columns) == columns


def test_leading_zeros_stay_in_a_column_that_nothing_names(tmp_path):
    (tmp_path / "t.csv").write_text("key,p\n007,0.5\n010,0\n")
    read = read_content(tmp_path / "t.csv")
    assert read["key"].tolist() == ["007", "010"]
    assert read["p"].tolist() == [0.5, 0]


def test_parquet_gives_its_index_and_the_names_of_its_columns_as_text(tmp_path):
    table = pd.DataFrame({0: [0.1, 0.9], 1: [0.9, 0.1]}, index=pd.Index(["a", "b"], name="id"))
    table.rename(columns=str).to_parquet(tmp_path / "t.parquet")
    read = read_content(tmp_path / "t.parquet")
    assert list(read.columns) == ["id", "0", "1"]
    assert read["id"].tolist() == ["a", "b"]
    assert read["1"].tolist() == [0.9, 0.1]


@pytest.mark.parametrize(
    "array",
    [
        np.array([3, 999], np.uint16),
        np.array(["cat", "dog"]),
        np.array([[0.25, 0.75]], np.float16),
        np.array([[1, 0], [0, 1]], bool),
    ],
)
def test_arrays_come_as_they_are(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", only=array, scalar=np.array(3))
    np.savez(tmp_path / "b.npz", one=array, two=array[:1])
    found = [
        read_content(tmp_path / "a.npy"),
        read_content(tmp_path / "a.npz"),
        read_content(tmp_path / "b.npz", array="one"),
    ]
    for read in found:
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


def test_a_list_may_be_in_a_file_of_lines(tmp_path):
    lists = [[3, 4], [], [5]]
    (tmp_path / "one.jsonl").write_text(json.dumps(lists))
    (tmp_path / "lines.jsonl").write_text("[3, 4]\n[]\n\n[5]\n")
    (tmp_path / "list.json").write_text(json.dumps(lists, indent=1))
    for path in tmp_path.iterdir():
        assert read_content(path) == lists


class Pickled:
    """Leaves a trace where it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


PICKLE = npy(np.array([Pickled()], dtype=object))
TRUNCATED = npz(a=np.arange(1000))[:-60]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a", b"x", r"should end with one of \.csv, .*\.npz: save it in that format, or rename it"),
        ("a.XLSX", b"x", "is a spreadsheet: save it as CSV .*'CSV UTF-8'"),
        ("a.csv", b"PK\x03\x04\n", "is a spreadsheet: save it as CSV"),
        ("a.csv", b"\xd0\xcf\x11\xe0\xa1", "is a spreadsheet: save it as CSV"),
        ("a.pt", b"x", "no plain arrays: save its array as npy, with numpy.save"),
        ("a.npy", b"\x80\x04K\x01.", "no plain arrays: save its array as npy, with numpy.save"),
        ("a.npz", zipped("a/data.pkl"), "no plain arrays: save its array as npy"),
        ("a.csv", b"id;label;label\nx;1;2\n", "has two columns 'label': rename one"),
        ("a.csv", b"", r"cannot be read as csv \(No columns"),
        ("a.csv", b"id,label\n", "holds no rows"),
        ("a.csv", b"id,label\nx,\xff\n", "is not UTF-8 text: save it as UTF-8"),
        ("a.csv", b"id,label,label\nx,1,2\n", "has two columns 'label': rename one"),
        ("a.csv", b"id,label\nx,1,2\n", "cannot be read as csv"),
        ("a.csv", b"id,label\nx,1\ny,1,2\n", r"cannot be read as csv .*line 3, saw 3"),
        ("a.tsv", b'id\tlabel\n"x\t1\n', "cannot be read as tsv"),
        ("a.parquet", b"PAR1", "cannot be read as parquet"),
        ("a.json", b"", "cannot be read as json"),
        ("a.json", b"[1, 2", "cannot be read as json"),
        ("a.json", b"[]", "holds no rows"),
        ("a.json", b'{"a": 1}', "should hold a list"),
        ("a.json", b'["\xff"]', "is not UTF-8"),
        ("a.jsonl", b'{"a": 1}\n{"a"', "cannot be read as jsonl"),
        ("a.npy", b"", "cannot be read as npy"),
        ("a.npy", npy(np.arange(9))[:-1], "cannot be read as npy"),
        ("a.npy", npy(np.arange(0)), "holds no rows"),
        ("a.npy", PICKLE, "no plain arrays: save its array as npy, with numpy.save"),
        ("a.npz", npz(a=np.array([{}])), "no plain arrays"),
        ("a.npy", npy(np.zeros((2, 2, 2))), r"holds an array \(2, 2, 2\) of float64"),
        ("a.npy", npy(np.array(3)), r"holds an array \(\) of int64"),
        ("a.npy", npy(np.array([1j])), r"of complex128: give labels \[N\], or scores \[N, C\]"),
        ("a.npz", b"PK\x03\x04", "cannot be read as npz"),
        ("a.npz", TRUNCATED, "cannot be read as npz"),
        ("a.npz", npz(a=[1], b=[[2]]), r"holds the arrays a \(1,\), b \(1, 1\): name one as"),
        ("a.npz", npz(a=np.array(1)), r"holds the arrays a \(\): name one"),
        ("a.npz", npz(), "holds the arrays none: name one"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence) as refused:
        read_content(tmp_path / name)
    assert str(refused.value).startswith(str(tmp_path / name))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < len(str(tmp_path)) + 400


def test_an_array_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz(ground_truth=[1], predictions=[[2]]))
    with pytest.raises(InputError, match=r"no array 'x': .* of ground_truth, predictions as"):
        read_content(tmp_path / "a.npz", array="x")


def test_bytes_are_checked(tmp_path):
    path = tmp_path / "a.csv"
    with pytest.raises(InputError, match=r"no file .*a\.csv: mend `location` in the run file"):
        check_bytes(path, None, "the run file")
    with pytest.raises(InputError, match="is a folder"):
        check_bytes(tmp_path, None, "the run file")
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert check_bytes(path, known, "the run file") == known
    assert check_bytes(path, "", "the run file") == known
    with pytest.raises(InputError, match=f"has sha256 {known}, the run file expects 0000"):
        check_bytes(path, "0" * 64, "the run file")


def test_a_zip_with_another_name_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npy", "w") as archive:
        archive.writestr("notes.txt", "no array")
    with pytest.raises(InputError, match=r"a\.npy: "):
        read_content(tmp_path / "a.npy")
