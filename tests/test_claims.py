import json

import pandas as pd
import pytest

from dissent.claims import evaluate, measured, numbers
from dissent.commandline import InputError

CLAIMS = pd.DataFrame(
    [("up", "a", ">", 0.0), ("down", "b", "<", 0.0), ("lost", "c", ">", 0.0)],
    columns=["id", "statistic", "comparison", "threshold"],
)


def statistics(*rows):
    columns = ["statistic", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).assign(n_of="pairs")


@pytest.mark.parametrize(
    ("low", "high", "up", "down"),
    [
        (0.1, 0.5, "supported", "not supported"),
        (-0.5, -0.1, "not supported", "supported"),
        (-0.1, 0.1, "not supported", "not supported"),
        (0.0, 0.1, "not supported", "not supported"),
        (float("nan"), float("nan"), "not measured", "not measured"),
    ],
)
def test_the_whole_interval_must_lie_on_the_claimed_side(low, high, up, down):
    table = evaluate(CLAIMS, statistics(("a", 0.2, low, high, 9), ("b", 0.2, low, high, 9)))
    assert table["verdict"].tolist() == [up, down, "not measured"]
    assert table["id"].tolist() == ["up", "down", "lost"]
    assert table["n_of"].tolist()[:2] == ["pairs", "pairs"]


def test_a_claim_without_a_value_is_not_measured_even_with_an_interval():
    table = evaluate(CLAIMS, statistics(("a", float("nan"), 0.1, 0.5, 9), ("b", 0, 1, 1, 9)))
    assert table["verdict"].tolist() == ["not measured", "not supported", "not measured"]


def test_a_measured_claim_is_told_in_figures():
    rows = statistics(("a", 0.12345, -0.1, 16.0, 9), ("b", 0.0, 0.0, 0.0, 1))
    told, _, lost = evaluate(CLAIMS, rows).itertuples()
    assert measured(told) == "0.123 [-0.1, 16], n = 9 pairs"
    assert measured(lost) == ""


def test_the_numbers_are_those_of_the_measured_claims_and_go_into_json():
    rows = statistics(("a", 0.12345, -0.1, 16.0, 9), ("b", 1, float("nan"), 2, 9))
    told = json.loads(json.dumps(numbers(evaluate(CLAIMS, rows)), allow_nan=False))
    assert told == {"up": {"value": 0.12345, "low": -0.1, "high": 16.0, "n": 9}}
    assert isinstance(told["up"]["n"], int)


def test_a_statistic_measured_twice_is_refused():
    with pytest.raises(InputError, match="'a' is measured twice"):
        evaluate(CLAIMS, statistics(("a", 0, 0, 0, 1), ("a", 1, 1, 1, 1)))


def test_an_unknown_comparison_is_refused():
    with pytest.raises(InputError, match="'>='"):
        evaluate(CLAIMS.assign(comparison=">="), statistics())


def test_every_claim_of_the_project_is_complete():
    claims = pd.read_csv("config/claims.csv")
    assert claims["id"].is_unique
    assert claims["statistic"].is_unique
    assert not claims.isna().any().any()
