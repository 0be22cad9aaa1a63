import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot
from matplotlib.colors import to_rgb

from dissent import figures
from dissent.commandline import InputError
from dissent.config_shapes import CATEGORIES

SUFFIXES = (".svg", ".pdf", ".png", ".csv")


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def drawn():
    figure, axes = pyplot.subplots(figsize=(3, 2), layout="constrained")
    for x, category in enumerate(figures.STYLES):
        figures.points(axes, [x], [x / 10], category)
        figures.whiskers(axes, [x], [x / 10 - 0.1], [x / 10 + 0.1])
    figures.percent(axes.yaxis)
    figure.legend(handles=figures.category_handles(figures.STYLES), loc="outside upper center")
    figures.footnote(figure, "test", "3 examples", "no intervals")
    return figure, pd.DataFrame({"x": [0.1, np.nan], "name": ["a", "b"]})


def saved(folder, suffixes=SUFFIXES):
    outputs = [folder / f"figure{suffix}" for suffix in suffixes]
    figures.save_figure(*drawn(), outputs)
    return {path.suffix: path.read_bytes() for path in outputs}


def test_a_figure_drawn_again_has_the_same_bytes(tmp_path):
    first = saved(tmp_path / "first")
    assert first == saved(tmp_path / "second")
    assert first[".svg"].startswith(b"<?xml")
    assert first[".pdf"].startswith(b"%PDF")
    assert first[".png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_format_does_not_depend_on_which_others_are_written(tmp_path, suffix):
    assert saved(tmp_path / "one", [suffix])[suffix] == saved(tmp_path / "all")[suffix]


def test_no_file_holds_a_date(tmp_path):
    files = saved(tmp_path)
    assert b"<dc:date>" not in files[".svg"]
    assert b"CreationDate" not in files[".pdf"]
    assert b"tIME" not in files[".png"]


def test_png_has_200_dots_per_inch(tmp_path):
    header = saved(tmp_path, [".png"])[".png"][16:24]
    assert np.frombuffer(header, ">u4").tolist() == [600, 400]


def test_csv_is_the_table(tmp_path):
    saved(tmp_path, [".csv"])
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "figure.csv"), drawn()[1])


def test_an_unknown_suffix_is_named(tmp_path):
    with pytest.raises(InputError, match=r"figure\.jpg: a figure is written as"):
        saved(tmp_path, [".jpg"])
    assert not list(tmp_path.iterdir())


def test_every_category_differs_from_the_others_in_all_three_ways():
    assert tuple(figures.STYLES) == CATEGORIES
    for looks in zip(*figures.STYLES.values(), strict=True):
        assert len(set(looks)) == len(CATEGORIES)


def test_whiskers_need_not_hold_the_value_and_may_be_missing():
    figure, axes = pyplot.subplots()
    figures.whiskers(axes, [0, 1], [0.3, np.nan], [0.4, np.nan])
    figures.points(axes, [0, 1], [0.1, 0.2], "reinit")
    figure.canvas.draw()
    low, high = axes.get_ylim()
    assert low < 0.1
    assert high > 0.4


@pytest.mark.parametrize(
    ("value", "label"), [(0.125, "12.5"), (-0.05, "−5"), (0.07, "7"), (1.0, "100"), (0.0, "0")]
)
def test_percent_labels(value, label):
    _, axes = pyplot.subplots()
    figures.percent(axes.xaxis)
    assert axes.xaxis.get_major_formatter()(value, 0) == label


def test_base_pairs_are_those_with_the_base_whichever_side_it_is_on():
    pairs = pd.DataFrame(
        [
            ("a", "base", 0.1, 0.9, "datasets", "reinit", True, False),
            ("a", "b", 0.1, 0.2, "datasets", "frameworks", True, True),
            ("base", "b", 0.9, 0.2, "reinit", "frameworks", False, True),
            ("base", "c", 0.9, 0.3, "reinit", "datasets", False, False),
        ],
        columns=[f"{c}{i}" for c in ("model", "accuracy", "category", "in_window") for i in (1, 2)],
    )
    found = figures.base_pairs(pairs, "base")
    columns = ["model", "category", "base_accuracy"]
    assert found[columns].to_numpy().tolist() == [["a", "datasets", 0.9], ["b", "frameworks", 0.9]]


def test_without_an_accuracy_window_all_models_are_compared():
    columns = [f"{c}{i}" for c in ("model", "accuracy", "category") for i in (1, 2)]
    rows = [("a", "base", 0.1, 0.9, "datasets", "reinit"), ("a", "b", 0.1, 0.2, "datasets", "x")]
    pairs = pd.DataFrame(rows, columns=columns)
    assert figures.base_pairs(pairs, "base")["model"].tolist() == ["a"]
    assert len(figures.compared(pairs)) == 2
    windowed = pairs.assign(in_window1=True, in_window2=[True, False])
    assert figures.compared(windowed)["model2"].tolist() == ["base"]


def test_lines_of_models_of_one_category_differ_in_colour():
    categories = {"a": "datasets", "b": "reinit", "c": "datasets", "d": "datasets"}
    ranks = figures.rank_in_category(categories, categories)
    assert ranks == {"a": 0, "b": 0, "c": 1, "d": 2}
    lines = [figures.line(categories[model], rank) for model, rank in ranks.items()]
    grey = [sum(to_rgb(line["color"])) for line in lines]
    assert grey[0] > grey[2] > grey[3]
    assert lines[0]["linestyle"] == lines[2]["linestyle"]


def test_only_points_of_small_categories_have_names():
    points = pd.DataFrame({"model": list("abcdef"), "category": list("xxxyyz")})
    assert figures.names_of_few(points).tolist() == ["", "", "", "d", "e", "f"]


def test_models_are_ordered_by_how_different_their_training_is():
    categories = pd.Series({"a": "datasets", "b": "reinit", "c": "architectures"})
    assert figures.by_category(["a", "c", "a", "b"], categories) == ["b", "c", "a"]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.floats(0.1, 2))
def test_spread_sets_rows_of_equal_key_side_by_side(keys, width):
    offsets = figures.spread(pd.Series(keys), width)
    for key in set(keys):
        members = offsets[np.array(keys) == key]
        assert np.abs(members).max() < width / 2
        assert members.sum() == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(np.diff(members), width / len(members))


def test_points_without_values_have_no_labels():
    _, axes = pyplot.subplots()
    figures.label_points(axes, pd.Series([0.5]), pd.Series([np.nan]), pd.Series(["a"]))
    assert not axes.texts


def test_labels_of_close_points_go_to_different_sides():
    _, axes = pyplot.subplots()
    x, y = pd.Series([0.5, 0.5, 1, 0, np.nan]), pd.Series([0.5, 0.51, 1, 0, 1])
    figures.label_points(axes, x, y, pd.Series(list("abcde")))
    labels = {text.get_text(): text for text in axes.texts}
    assert set(labels) == set("abcd")
    assert labels["a"].xyann != labels["b"].xyann


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 5)), min_size=1, max_size=5))
def test_wide_whiskers_get_as_much_room_as_values_have_and_narrow_ones_fit(rows):
    value, half = map(pd.Series, zip(*rows, strict=True))
    found = figures.limits(value, value - half, value + half)
    if found is None:
        assert value.nunique() == 1
        return
    bottom, top = found
    span = np.ptp(value)
    assert bottom < value.min() and value.max() < top
    assert top - bottom <= 3 * span * 1.1 * (1 + 1e-9)
    inside = (half <= span) & (value - half >= value.min() - span)
    assert (value[inside] - half[inside] >= bottom).all()


def test_there_are_no_limits_where_all_values_are_missing():
    none = pd.Series([np.nan, np.nan])
    assert figures.limits(none, none, none) is None


def test_limits_without_intervals_are_those_of_the_values():
    value, none = pd.Series([1.0, 2.0]), pd.Series([np.nan, np.nan])
    assert figures.limits(value, none, none) == pytest.approx((0.95, 2.05))
