import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.hans import hans
from dissent.matching import as_text, match_classes
from dissent.predictions import read_predictions

FORMAT = {
    "ids": "id",
    "predicted": "predicted",
    "confidence": None,
    "values": "probabilities",
    "array": None,
    "member": None,
    "label_map": None,
}
TINY = np.finfo(np.float32).tiny


def examples(n=4, classes=("cat", "dog", "fish"), **changes):
    fields = {
        "name": "toy",
        "ids": tuple(f"x{i}" for i in range(n)),
        "images_NHW": None,
        "labels": np.arange(n) % len(classes),
        "splits_N": np.full(n, "report"),
        "classes": classes,
        "row_order": "by number",
    }
    return Examples(**(fields | changes))


def write(folder: Path, name: str, content) -> Path:
    """A file in the format that its name says, by means other than the project's."""
    path = folder / name
    if isinstance(content, pd.DataFrame):
        writers = {
            ".csv": lambda: content.to_csv(path, index=False),
            ".tsv": lambda: content.to_csv(path, index=False, sep="\t"),
            ".parquet": lambda: content.to_parquet(path),
            ".json": lambda: path.write_text(json.dumps(content.to_dict("records"))),
        }
        writers[path.suffix]()
    elif isinstance(content, dict):
        np.savez(path, **content)
    elif path.suffix == ".npy":
        np.save(path, content)
    elif isinstance(content, str):
        path.write_text(content)
    else:
        path.write_text(json.dumps(content))
    return path


def read(path, examples, **format):
    return read_predictions(path, FORMAT | format, examples)


SUFFIXES = (".csv", ".tsv", ".parquet", ".json")
ROUND_TRIP = {
    "seed": st.integers(0, 10**6),
    "n": st.integers(1, 12),
    "extra": st.integers(0, 4),
    "suffix": st.sampled_from(SUFFIXES),
}


def shuffled(columns: pd.DataFrame, n: int, extra: int, rng) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table of predictions in another order, and what a merge finds in it for each example."""
    ids = [f"x{i}" for i in range(n)] + [f"other{i}" for i in range(extra)]
    table = columns.assign(id=ids).sample(frac=1, random_state=int(rng.integers(2**31)))
    return table, pd.DataFrame({"id": [f"x{i}" for i in range(n)]}).merge(table, on="id")


@given(**ROUND_TRIP)
def test_rows_in_any_order_give_what_a_merge_by_id_gives(tmp_path_factory, seed, n, extra, suffix):
    rng = np.random.default_rng(seed)
    classes = ("cat", "dog", "fish")
    said = pd.DataFrame(
        {
            "predicted": rng.choice(classes, n + extra),
            "confidence": 1 - rng.random(n + extra),
        }
    )
    table, merged = shuffled(said, n, extra, rng)
    found = read(write(tmp_path_factory.mktemp("p"), f"a{suffix}", table), examples(n))
    np.testing.assert_array_equal(np.array(classes)[found.predicted_N], merged["predicted"])
    np.testing.assert_array_equal(found.confidence_N, merged["confidence"])
    assert found.scores_NC is None


@given(values=st.sampled_from(["probabilities", "logits"]), **ROUND_TRIP)
def test_scores_in_any_order_of_rows_and_columns_give_what_a_merge_gives(
    tmp_path_factory, seed, n, extra, suffix, values
):
    rng = np.random.default_rng(seed)
    classes = ["cat", "dog", "fish"]
    scores = rng.normal(size=(n + extra, 3))
    if values == "probabilities":
        scores = rng.dirichlet([0.1, 0.1, 0.1], n + extra)
        scores[0] = [0, 1, 0]
    said = pd.DataFrame(scores, columns=classes).assign(predicted="cat", note="of no use")
    said = said[list(rng.permutation(said.columns))]
    table, merged = shuffled(said, n, extra, rng)
    path = write(tmp_path_factory.mktemp("p"), f"a{suffix}", table)
    found = read(path, examples(n), values=values)
    merged_NC = merged[classes].to_numpy()
    np.testing.assert_array_equal(found.predicted_N, merged_NC.argmax(axis=1))
    assert found.scores_NC.dtype == np.float32
    assert np.isfinite(found.scores_NC).all()
    if values == "logits":
        assert found.confidence_N is None
        np.testing.assert_array_equal(found.scores_NC, merged_NC.astype(np.float32))
    else:
        np.testing.assert_array_equal(found.confidence_N, merged_NC.max(axis=1))
        np.testing.assert_allclose(np.exp(found.scores_NC), merged_NC, rtol=2e-5, atol=TINY)


@given(
    labels=st.lists(st.integers(0, 11), min_size=1, max_size=20),
    written=st.sampled_from(["csv", "float csv", "uint16", "int64", "float32", "U", "json", "npz"]),
)
def test_whole_numbers_are_the_classes_with_their_names(tmp_path_factory, labels, written):
    # As text in another order than as numbers.
    data = examples(len(labels), classes=tuple(map(str, range(12)))[::-1])
    path = tmp_path_factory.mktemp("p")
    if "csv" in written:
        table = pd.DataFrame({"predicted": labels, "id": data.ids})
        if "float" in written:
            table["predicted"] = table["predicted"].astype(float)
        path = write(path, "a.csv", table)
    elif written == "json":
        path = write(path, "a.json", labels)
    elif written == "npz":
        path = write(path, "a.npz", {"a": np.array(labels), "n": np.array(3)})
    else:
        path = write(path, "a.npy", np.array(labels).astype(written))
    found = read(path, data)
    assert [data.classes[i] for i in found.predicted_N] == [str(label) for label in labels]
    assert found[1:] == (None, None)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, object])
@pytest.mark.parametrize("values", ["probabilities", "logits"])
def test_arrays_of_scores_follow_the_declared_order(tmp_path, dtype, values):
    rng = np.random.default_rng(0)
    given_NC = rng.dirichlet([0.3] * 3, 4) if values == "probabilities" else rng.normal(size=(4, 3))
    given_NC = given_NC.astype(np.float64 if dtype is object else dtype)
    if dtype is object:
        path = write(tmp_path, "a.json", given_NC.tolist())
    else:
        path = write(tmp_path, "a.npy", given_NC)
    found = read(path, examples(), values=values)
    expected_NC = given_NC.astype(np.float64)
    if values == "probabilities":
        expected_NC = np.log(np.maximum(expected_NC, TINY))
        np.testing.assert_array_equal(found.confidence_N, given_NC.max(axis=1))
    np.testing.assert_array_equal(found.scores_NC, expected_NC.astype(np.float32))
    np.testing.assert_array_equal(found.predicted_N, given_NC.argmax(axis=1))


def test_ties_and_scores_that_float32_cannot_tell_apart_keep_their_argmax(tmp_path):
    given_NC = [[0.25, 0.5, 0.25], [0.4, 0.2, 0.4], [0.3, 0.35 - 1e-12, 0.35], [0.0, 0.0, 1.0]]
    found = read(write(tmp_path, "a.npy", np.array(given_NC)), examples())
    assert found.predicted_N.tolist() == [1, 0, 2, 2]
    assert found.scores_NC[2, 1] == found.scores_NC[2, 2]
    assert found.scores_NC[3].tolist() == [np.log(TINY), np.log(TINY), 0]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_go_through_the_label_map(tmp_path, suffix):
    table = pd.DataFrame({"key": [3, 1, 0, 2], "said": ["yes", "no", "maybe", "no"]})
    data = examples(classes=("yes", "not yes"), ids=("0", "1", "2", "3"))
    label_map = {"yes": "yes", "no": "not yes", "maybe": "not yes"}
    found = read(
        write(tmp_path, f"a{suffix}", table),
        data,
        ids="key",
        predicted="said",
        label_map=label_map,
    )
    assert found.predicted_N.tolist() == [1, 1, 1, 0]


def test_scores_go_through_the_label_map_as_well(tmp_path):
    label_map = {"0": "fish", "1": "cat", "2": "dog"}
    given_NC = np.array([[0.7, 0.2, 0.1]] * 4)
    array = write(tmp_path, "a.npy", given_NC)
    table = pd.DataFrame(given_NC, columns=list("012")).assign(id=list(examples().ids))
    for path in (array, write(tmp_path, "a.csv", table)):
        found = read(path, examples(), label_map=label_map)
        assert found.predicted_N.tolist() == [2] * 4
        np.testing.assert_allclose(np.exp(found.scores_NC[0]), [0.2, 0.1, 0.7], rtol=1e-6)


def test_only_unused_examples_may_be_without_a_prediction(tmp_path, caplog):
    data = examples(splits_N=np.array(["tune", "unused", "report", "unused"]))
    table = pd.DataFrame(
        {"id": ["x2", "x3", "x0", "y"], "predicted": ["dog", "cat", "fish", "no class"]}
    )
    table["confidence"] = ["0.5", "0.75", "1", "x"]
    with caplog.at_level(logging.INFO, logger="dissent"):
        found = read(write(tmp_path, "a.csv", table), data)
    assert found.predicted_N.tolist() == [2, -1, 1, 0]
    np.testing.assert_array_equal(found.confidence_N, [1, np.nan, 0.5, 0.75])
    assert "rows ignored, as they are no examples of 'toy': 1\n" in caplog.text
    scores = pd.DataFrame({"id": ["x2", "x0"], "cat": 0.5, "dog": 0.25, "fish": 0.25})
    found = read(write(tmp_path, "b.csv", scores), data)
    np.testing.assert_array_equal(np.isnan(found.scores_NC).all(axis=1), [0, 1, 0, 1])


def test_a_table_without_ids_follows_the_declared_order(tmp_path):
    path = write(tmp_path, "a.csv", "predicted,confidence\ncat,1\ndog,0.5\nfish,1\ncat,1\n")
    found = read(path, examples())
    assert found.predicted_N.tolist() == [0, 1, 2, 0]
    assert found.confidence_N.tolist() == [1, 0.5, 1, 1]


def test_a_confidence_may_have_another_name_or_be_left_alone(tmp_path):
    path = write(tmp_path, "a.csv", "id,predicted,p\nx0,cat,1\nx1,dog,0.5\nx2,fish,1\nx3,cat,1\n")
    assert read(path, examples()).confidence_N is None
    assert read(path, examples(), confidence="p").confidence_N.tolist() == [1, 0.5, 1, 1]


IDS = "id,predicted\nx0,cat\nx1,dog\nx2,fish\n"
ROWS = IDS + "x3,cat\n"
SURE = ROWS.replace("predicted", "predicted,confidence").replace("cat", "cat,0.5")
NUMBERED = {"classes": ("0", "1", "2")}
ROWS_FROM_ONE = "id;predicted\nx0;1\nx1;3\nx2;2\nx3;1\n"
PROBABILITIES = "id,cat,dog,fish\nx0,1,0,0\nx1,0,1,0\nx2,0,0,1\nx3,"


@pytest.mark.parametrize(
    ("name", "content", "format", "data", "sentence"),
    [
        # Rows and ids.
        ("a.csv", IDS, {}, {}, r"no row for 1 of the 4 examples of 'toy', such as 'x3' \(its own"),
        ("a.csv", ROWS + "x1,dog\n", {}, {}, "the id 'x1' in row 2 and in row 5: keep one"),
        ("a.csv", ROWS, {"ids": "key"}, {}, "no column 'key', and it is not known what 'id' holds"),
        (
            "a.csv",
            ROWS.replace("id", "key"),
            {},
            {},
            "no column 'id', and it is not known what 'key' holds",
        ),
        (
            "a.csv",
            "key,predicted\n007,cat\n7,dog\n",
            *({}, {"ids": ("007", "7")}, "it is not known what 'key' holds: give"),
        ),
        (
            "a.csv",
            "predicted\ncat\n",
            {"ids": "key"},
            {},
            "no column .key.: give .* `ids` in a form",
        ),
        ("a.csv", "predicted\ncat\n", {}, {"row_order": ""}, "no column 'id': .* of 'predicted'"),
        ("a.csv", "predicted\ncat\n", {}, {}, r"1 rows without ids for the 4 .* 'by number'"),
        ("a.json", ["cat"] * 4, {}, {"row_order": ""}, "has no ids, .* `row_order` in the run"),
        ("a.json", ["cat"] * 5, {}, {}, "5 rows without ids for the 4 examples"),
        ("a.npy", np.zeros((3, 3)), {}, {}, "3 rows without ids for the 4 examples"),
        # Classes.
        ("a.csv", ROWS.replace("dog", "dgo"), {}, {}, r"row 2: 'dgo' is no class \(did you mean "),
        ("a.csv", ROWS.replace("dog", ""), {}, {}, "row 2: has no label: give one"),
        (
            "a.csv",
            ROWS.replace("dog", "Dog"),
            {},
            {},
            r"a `label_map`, as in \{\"Dog\": \"dog\"\}, in",
        ),
        ("a.csv", "id\nx0\n", {}, {"ids": ("x0",)}, "no column 'predicted', and none .*: add one"),
        (
            "a.csv",
            "id,said\nx0,1\n",
            *(
                {},
                {"ids": ("x0",)},
                "none for the class 'cat': give one of 'said' as `predicted` in",
            ),
        ),
        (
            "a.json",
            [0, 1, 2, 0],
            {},
            {},
            r"row 1: has the number 0 .*as in \{\"0\": \"cat\"\}, in a",
        ),
        (
            "a.json",
            [1, 3, 2, 1],
            {},
            {},
            r"row 1: has the number 1 .*as in \{\"1\": \"cat\"\}, in a",
        ),
        (
            "a.npy",
            np.array([1, 3, 2, 1.0]),
            {},
            NUMBERED,
            r"from 1: subtract .* \{\"3\": \"2\"\}, in",
        ),
        (
            "a.csv",
            ROWS_FROM_ONE,
            {},
            NUMBERED,
            "row 2: classes are numbered from 0, these look num",
        ),
        ("a.npy", np.arange(4), {}, NUMBERED, "row 4: '3' is no class; the classes are '0', '1'"),
        ("a.npy", np.array([1, 2, 4, 3]), {}, NUMBERED, "row 3: '4' is no class; the classes are"),
        ("a.npy", np.arange(4) - 1.0, {}, NUMBERED, "row 1: '-1' is no class"),
        ("a.npy", np.arange(4) / 2, {}, NUMBERED, "row 2: '0.5' is no class"),
        ("a.json", [None, "1", "2", "0"], {}, NUMBERED, "row 1: has no label: give one"),
        ("a.json", [1, [1], 2, 0], {}, NUMBERED, r"row 2: '\[1\]' is no class"),
        ("a.csv", ROWS, {"label_map": {"cat": "dig"}}, {}, r"'cat' into 'dig', .* mean 'dog'\?"),
        ("a.csv", ROWS, {"label_map": {"cat": "dog"}}, {}, "row 2: 'dog' is not in the `label_ma"),
        # Scores.
        ("a.npy", np.zeros((4, 2)), {}, {}, "2 scores an example for 3 classes"),
        ("a.npy", np.zeros((4, 3)), {}, {}, "row 1: probabilities should sum to 1, not 0: if the"),
        ("a.npy", np.full((4, 3), 0.3338), {}, {}, "sum to 1, not 1.001: .* `values: logits` in a"),
        ("a.npy", np.eye(4, 3)[[0, 1, 2, 0]], {"values": "logits"}, {}, "look like probabilities"),
        ("a.npy", np.eye(4, 3) * 2 - 1, {}, {}, "row 1, column dog: a probability .* be -1: if t"),
        (
            "a.npy",
            np.full((4, 3), np.inf),
            {"values": "logits"},
            {},
            "row 1, column cat: .* not 'inf'",
        ),
        ("a.npy", np.full((4, 3), 1e39), {"values": "logits"}, {}, "finite number, not '1e"),
        ("a.npy", np.array([["a", "b", "c"]] * 4), {}, {}, "column cat: .* number, not 'a'"),
        ("a.json", [[1, 0, 0], [1, 0]] * 2, {}, {}, "row 2: should be a list of 3 numbers"),
        ("a.json", [[1, 0, 0], [1, 0, None]] * 2, {}, {}, "row 2: should be a list of 3 numbers"),
        ("a.json", [[1, 0, 0], 1] * 2, {}, {}, "row 2: should be a list of 3 numbers"),
        ("a.csv", PROBABILITIES + "x,0,1\n", {}, {}, "row 4, column cat: .* number, not 'x'"),
        ("a.csv", PROBABILITIES + ",0,1\n", {}, {}, "row 4, column cat: .* number, not ''"),
        ("a.csv", PROBABILITIES + "nan,0,1\n", {}, {}, "row 4, column cat: .* number, not 'nan'"),
        ("a.csv", PROBABILITIES + "1,0,1\n", {}, {}, "row 4: probabilities should sum to 1, not 2"),
        (
            "a.csv",
            PROBABILITIES.replace("fish", "fsh") + "1,0,0\n",
            {},
            {},
            "'fish', but 'fsh': na",
        ),
        (
            "a.csv",
            PROBABILITIES.replace("fish", "Fish") + "1,0,0\n",
            *(
                {},
                {},
                "none for the class 'fish', but 'Fish': name a column exactly like each class",
            ),
        ),
        (
            "a.csv",
            PROBABILITIES.replace("fish", "other") + "1,0,0\n",
            *({}, {}, "none for the class 'fish': name a column exactly like each class"),
        ),
        (
            "a.csv",
            PROBABILITIES + "1,0,0\n",
            {"label_map": {"cat": "cat", "dog": "dog"}},
            *(
                {},
                "none for the class 'fish', but 'fish': give each class its column in the `label",
            ),
        ),
        (
            "a.csv",
            "id;cat;dog;fish\nx0;0,5;0,25;0,25\n",
            *({}, {"ids": ("x0",)}, "row 1, column cat: '0,5' has a decimal comma: save the file "),
        ),
        ("a.npy", np.eye(4, 3), {"label_map": {"0": "cat", "1": "cat"}}, {}, "one of the columns"),
        (
            "a.csv",
            "id,cat,dog,fish,bird\nx0,1,0,0,0\n",
            {"label_map": {**{name: name for name in ("cat", "dog", "fish")}, "bird": "cat"}},
            {"ids": ("x0",)},
            "no column 'predicted', and 2 for the class 'cat': leave one",
        ),
        # Confidences.
        ("a.csv", ROWS, {"confidence": "p"}, {}, "no column 'p': give .* as `confidence` in a f"),
        ("a.csv", SURE.replace("dog", "dog,0"), {}, {}, "row 2, .* above 0 and at most 1, not 0"),
        ("a.csv", SURE.replace("dog", "dog,97"), {}, {}, "at most 1, not 97: give the probability"),
        ("a.csv", SURE.replace("dog", "dog,-1"), {}, {}, "above 0 and at most 1, not -1"),
        ("a.csv", SURE.replace("dog", "dog,"), {}, {}, "column confidence: .* number, not ''"),
        (
            "a.json",
            [{"id": f"x{i}", "predicted": "cat", "confidence": [0.5, 0.5]} for i in range(4)],
            *({}, {}, r"column confidence: should be a finite number, not '\[0.5, 0.5\]'"),
        ),
        # Arrays.
        (
            "a.npz",
            {"p": np.eye(4, 3)},
            {"array": "q"},
            {},
            "no array 'q': give one of p as `array` in a format",
        ),
    ],
)
def test_what_is_missing_ambiguous_or_out_of_range_is_refused(
    tmp_path, name, content, format, data, sentence
):
    if isinstance(content, str):
        content = content.replace("fish\n", "fish,0.5\n" if "confidence" in content else "fish\n")
    path = write(tmp_path, name, content)
    data = examples(**({"n": len(data["ids"])} if "ids" in data else {}), **data)
    with pytest.raises(InputError, match=sentence) as refused:
        read(path, data, **format)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < len(str(path)) + 350


NAMES = ("nan", "None", "NA", "null", "True")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ids_and_classes_that_look_like_something_else_stay_text(tmp_path, suffix):
    data = examples(5, NAMES, ids=("007", "7", "NA", "1e3", "True"))
    table = pd.DataFrame({"id": data.ids, "predicted": NAMES})[::-1]
    path = write(tmp_path, f"a{suffix}", table.reset_index(drop=True))
    assert read(path, data).predicted_N.tolist() == list(range(5))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_label_is_no_class_called_none_or_nan(tmp_path, suffix):
    table = pd.DataFrame({"id": ["x0", "x1"], "predicted": ["nan", None]})
    path = write(tmp_path, f"a{suffix}", table)
    with pytest.raises(InputError, match="row 2: has no label: give one"):
        read(path, examples(2, NAMES))


def test_some_rows_that_sum_to_one_may_be_logits(tmp_path):
    given_NC = np.array([[0.5, 0.25, 0.25], [0.5, 0.5, 0.5], [0, 1, 0], [1, 0, 0]])
    found = read(write(tmp_path, "a.npy", given_NC), examples(), values="logits")
    np.testing.assert_array_equal(found.scores_NC, given_NC)


def test_sums_may_be_off_by_rounding(tmp_path):
    given_NC = np.full((4, 3), 0.3336)
    found = read(write(tmp_path, "a.npy", given_NC), examples())
    np.testing.assert_allclose(found.confidence_N, 0.3336)
    np.testing.assert_allclose(found.scores_NC, np.log(0.3336), rtol=1e-6)


def test_a_class_called_like_a_number_with_a_point_is_found_by_that_name():
    classes = ("1.0", "1", "v1")
    found = match_classes(Path("a"), ["1.0", "1", 1.0, "v1"], range(4), classes)
    assert found.tolist() == [0, 1, 1, 2]
    with pytest.raises(InputError, match=r"row 1: 'v1\.0' is no class"):
        match_classes(Path("a"), ["v1.0"], [0], ("v1",))


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (3.0, "3"), (np.float16(3), "3"), (np.uint8(3), "3"), ("3.0", "3.0"), (0.5, "0.5")],
)
def test_numbers_are_the_same_text_whatever_their_type(value, text):
    assert as_text(value) == text


# Published predictions, against accuracies known from elsewhere.
@pytest.fixture(scope="session")
def mirrored(mirror) -> Callable[[str], Path]:
    def find(pattern: str) -> Path:
        (path,) = mirror.glob(f"**/{pattern}")
        return path

    return find


def accuracy(predicted_N, labels_N) -> float:
    return float(np.mean(predicted_N == labels_N))


@pytest.fixture(scope="session")
def imagenet(mirrored) -> Examples:
    table = pd.read_csv(mirrored("filename_label.csv"))
    classes = tuple(map(str, range(1000)))
    data = examples(len(table), classes, ids=tuple(table["file_name"]))
    return dataclasses.replace(data, labels=table["label"].to_numpy())


@pytest.mark.parametrize(
    ("model", "known"),
    [("ResNet50", 0.7613), ("ViT", 0.7801), ("SimCLR", 0.6814), ("DINO", 0.7675)],
)
def test_imagenet_x(mirrored, imagenet, model, known):
    columns = ("file_name", "predicted_class", "predicted_probability")
    format = dict(zip(("ids", "predicted", "confidence"), columns, strict=True))
    found = read(mirrored(f"base/{model}.csv"), imagenet, **format)
    assert accuracy(found.predicted_N, imagenet.labels) == pytest.approx(known, abs=5e-5)
    assert found.confidence_N.min() > 1 / 1000


def test_cleanlab_follows_the_order_of_the_labels(mirrored, imagenet):
    found = read(mirrored("*_pyx_argmax_predicted_labels.npy"), imagenet)
    assert accuracy(found.predicted_N, imagenet.labels) == pytest.approx(0.7273, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("densenet-bc-100-cifar-100", 0.7541),
        ("wideresnet-16-4-cifar-100", 0.7543),
        ("lenet-5-cifar-100", 0.1246),
        ("wideresnet-16-4-cifar-10", 0.9109),
        ("lenet-5-cifar-10", 0.5308),
    ],
)
def test_softmax_scores_of_cifar(mirrored, name, known):
    n_classes = int(name.rpartition("-")[2])
    labels_N = np.load(mirrored(f"cifar{n_classes}_test_set_original_labels.npy"))
    data = examples(10000, tuple(map(str, range(n_classes))))
    found = read(mirrored(f"{name}.npz"), data, array="predictions")
    assert accuracy(found.predicted_N, labels_N) == pytest.approx(known, abs=1e-9)
    with np.load(mirrored(f"{name}.npz")) as arrays:
        np.testing.assert_allclose(np.exp(found.scores_NC), arrays["predictions"], rtol=1e-5)


def test_bert_on_hans(mirrored):
    data = hans(0, None, {"report": 30000})
    label_map = {"entailment": "entailment"}
    label_map |= dict.fromkeys(("neutral", "contradiction"), "non-entailment")
    found = read(
        mirrored("bert_preds.txt"),
        data,
        ids="pairID",
        predicted="gold_label",
        label_map=label_map,
    )
    known = {
        "lexical overlap": (0.946, 0.164),
        "subsequence": (0.993, 0.039),
        "constituent": (0.984, 0.161),
    }
    groups_N = np.array(data.groups)
    for heuristic, accuracies in known.items():
        for label, expected in zip(("entailment", "non-entailment"), accuracies, strict=True):
            of_group = groups_N == f"{heuristic}, {label}"
            right = accuracy(found.predicted_N[of_group], data.labels[of_group])
            assert right == pytest.approx(expected, abs=5e-4), (heuristic, label)


@pytest.mark.parametrize(
    "text",
    [
        "image,predicted\n00010,cat\n0007,dog\n",
        "ID,predicted\nimg-10.png,cat\nimg-7.png,dog\n",
        ",predicted\n1,cat\n0,dog\n",
    ],
)
def test_a_table_with_a_column_that_may_be_ids_is_not_read_in_order(tmp_path, text):
    path = write(tmp_path, "a.csv", text)
    with pytest.raises(InputError, match=r"it is not known what '.*' holds"):
        read_predictions(path, FORMAT, examples(n=2))


def test_a_table_with_an_index_is_not_read_in_order(tmp_path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"predicted": ["cat", "dog"]}, index=[1, 0]).to_parquet(path)
    with pytest.raises(InputError, match="has an index"):
        read_predictions(path, FORMAT, examples(n=2))
