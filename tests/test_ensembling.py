import re
from decimal import Decimal
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import softmax

from dissent import ensembling
from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.logits import Logits
from dissent.votes import VOTE_OF_OUTPUT, votes_on_halves

N, C = 300, 5
COSTS = {"one": 1.0, "two": 2.5, "sure": 4.0, "vote": 8.0}
OUTPUTS = {
    "one": "logits",
    "two": "logits",
    "sure": "confidences",
    "vote": "classes",
    "ballot": "classes",
}


def data(labels, splits_N=None):
    classes = tuple("abcde")
    splits_N = np.repeat(["tune", "report"], N) if splits_N is None else splits_N
    return Examples("letters", (), None, labels, splits_N, classes)


def predictions_of(seed, labels_N):
    """Models of about the same accuracy, each of which knows other classes better."""
    rng = np.random.default_rng(seed)
    predictions = {}
    for shift, (name, output) in enumerate(OUTPUTS.items()):
        strength_C = 1 + 2.5 * np.roll([0.2, 0.4, 0.6, 0.8, 1], shift)
        logits_NC = rng.normal(size=(len(labels_N), C))
        logits_NC[np.arange(len(labels_N)), labels_N] += strength_C[labels_N]
        tensors = {
            "predicted": logits_NC.argmax(axis=1).astype(np.int32),
            "max_log_probability": np.log(softmax(logits_NC, axis=1).max(axis=1)),
            "logits": logits_NC.astype(np.float32),
        }
        kept = {"logits": 3, "confidences": 2, "classes": 1}[output]
        key = SimpleNamespace(output=output)
        predictions[name] = Logits(key, dict(list(tensors.items())[:kept]))
    return predictions


def described(predictions, costs=COSTS):
    return pd.DataFrame(
        {
            "model": list(predictions),
            "vote": [VOTE_OF_OUTPUT[logits.key.output] for logits in predictions.values()],
            "cost": [costs.get(model, np.nan) for model in predictions],
        }
    )


def ranked(predictions, examples, max_members=4, costs=COSTS, n_resamples=400):
    halves = ensembling.halves(examples, "tune", "report", 0)
    votes = votes_on_halves(predictions, examples, *halves)
    models = described(predictions, costs)
    return ensembling.rank(models, *votes, max_members, n_resamples, 0, 0.9), votes


@pytest.fixture(scope="module")
def labels_N():
    return np.random.default_rng(0).integers(0, C, 2 * N)


@pytest.fixture(scope="module")
def made(labels_N):
    predictions = predictions_of(1, labels_N)
    table, votes = ranked(predictions, data(labels_N))
    return predictions, table, votes


def correct(votes, weights):
    """Whether the weighted mean is right, one example after the other, from members by position."""
    right = []
    for n, label in enumerate(votes.labels_N):
        said = {int(votes.predicted_MN[m, n]) for m in weights}
        mean_C = sum(
            weight * softmax(votes.logits[m][n].astype(float) / votes.temperatures_M[m])
            for m, weight in weights.items()
        )
        right.append((said.pop() if len(said) == 1 else mean_C.argmax()) == label)
    return np.array(right)


def weights_of(row, names):
    members, weights = row["members"].split(" + "), row["weights"].split(" + ")
    return {names.index(m): float(w) for m, w in zip(members, weights, strict=True)}


def of_kind(table, kind):
    return table[table["kind"] == kind].reset_index(drop=True)


def test_the_table_holds_all_models_all_pairs_and_a_set_of_each_size(made):
    predictions, table, _ = made
    assert list(table.columns) == ensembling.COLUMNS
    assert table["kind"].drop_duplicates().tolist() == ["set", "member", "single", "pair"]
    assert sorted(of_kind(table, "single")["members"]) == sorted(predictions)
    pairs = {frozenset(pair.split(" + ")) for pair in of_kind(table, "pair")["members"]}
    assert pairs == set(map(frozenset, combinations(predictions, 2)))
    assert of_kind(table, "set")["size"].tolist() == [1, 2, 3, 4]
    assert (table["n"] == N).all()
    for kind in ("member", "single", "pair"):
        ranks = of_kind(table, kind)["rank"].dropna()
        assert ranks.tolist() == list(range(1, len(ranks) + 1))


def test_accuracies_and_gains_are_those_of_a_loop_over_examples(made):
    predictions, table, (choosing, reporting) = made
    names = list(predictions)
    best = names.index(of_kind(table, "single")["members"][0])
    chosen = weights_of(table[table["chosen"]].iloc[0], names)
    for half, suffix in ((choosing, "_chosen"), (reporting, "")):
        alone = [correct(half, {m: 1}).mean() for m in range(len(names))]
        for _, row in table.iterrows():
            weights = weights_of(row, names)
            if row["kind"] == "member":
                weights = {next(iter(weights)): 1}
            if row["left_out"]:
                continue
            # Weights in the table are rounded, which is decisive here and there.
            accuracy = correct(half, weights).mean()
            assert row[f"accuracy{suffix}"] == pytest.approx(accuracy, abs=0.004)
            if row["kind"] == "set":
                expected = accuracy - alone[best]
            elif row["kind"] == "pair":
                expected = accuracy - alone[names.index(row["members"].split(" + ")[0])]
            elif row["kind"] == "member":
                rest = {m: weight for m, weight in chosen.items() if m not in weights}
                expected = correct(half, chosen).mean() - correct(half, rest).mean()
            else:
                expected = correct(half, chosen).mean() - accuracy
            assert row[f"gain{suffix}"] == pytest.approx(expected, abs=0.008)


def test_pairs_name_their_better_member_first_and_count_errors_of_one_alone(made):
    predictions, table, (choosing, reporting) = made
    names = list(predictions)
    for row in of_kind(table, "pair").itertuples():
        first, second = map(names.index, row.members.split(" + "))
        accuracies = (choosing.predicted_MN[[first, second]] == choosing.labels_N).mean(axis=1)
        assert accuracies[0] >= accuracies[1]
        right_2N = reporting.predicted_MN[[first, second]] == reporting.labels_N
        assert row.error_inconsistency == pytest.approx((right_2N[0] != right_2N[1]).mean())
    gains = of_kind(table, "pair")["gain_chosen"]
    assert gains.dropna().is_monotonic_decreasing
    assert gains.iloc[-1:].isna().all()


def test_a_pair_of_classes_alone_is_its_better_member_and_has_no_gain(made):
    _, table, _ = made
    pairs, singles = of_kind(table, "pair"), of_kind(table, "single").set_index("members")
    without = pairs[pairs["left_out"] == "gain"]
    assert without["vote"].tolist() == ["class"]
    assert set(without["members"].iloc[0].split(" + ")) == {"vote", "ballot"}
    assert without[["rank", "gain", "gain_low", "gain_high", "gain_chosen"]].isna().all(axis=None)
    better = singles.loc[without["members"].iloc[0].split(" + ")[0]]
    for column in ("accuracy", "accuracy_chosen"):
        assert without[column].iloc[0] == better[column]


def test_the_chosen_set_is_the_smallest_of_the_most_accurate_on_the_examples_to_choose_on(made):
    _, table, _ = made
    sets = of_kind(table, "set")
    chosen = sets[sets["chosen"]]
    assert table["chosen"].sum() == len(chosen) == 1
    assert chosen.index[0] == sets["accuracy_chosen"].argmax()
    assert chosen["rank"].iloc[0] == 1
    assert chosen["size"].iloc[0] > 1
    members = of_kind(table, "member")
    assert sorted(members["members"]) == sorted(chosen["members"].iloc[0].split(" + "))
    assert sorted(members["weights"]) == sorted(chosen["weights"].iloc[0].split(" + "))


def test_weights_add_up_and_a_set_of_one_is_the_single(made):
    _, table, _ = made
    for _, row in table[table["kind"] != "member"].iterrows():
        weights = list(map(float, row["weights"].split(" + ")))
        assert len(weights) == row["size"] == len(set(row["members"].split(" + ")))
        assert sum(weights) == pytest.approx(1, abs=0.005 * len(weights))
        assert weights == sorted(weights, reverse=True)
    alone, best = of_kind(table, "set").iloc[0], of_kind(table, "single").iloc[0]
    same = ["members", "weights", "size", "vote", "accuracy_chosen", "accuracy", "cost"]
    assert alone[same].tolist() == best[same].tolist()
    assert (alone[["gain", "gain_low", "gain_high", "gain_chosen"]] == 0).all()


def test_votes_and_costs_are_those_of_the_members(made):
    _, table, _ = made
    votes = ["probabilities", "confidence", "class"]
    for row in table.itertuples():
        members = row.members.split(" + ")
        kinds = {VOTE_OF_OUTPUT[OUTPUTS[member]] for member in members}
        assert row.vote == " + ".join(vote for vote in votes if vote in kinds)
        expected = sum(COSTS.get(member, np.nan) for member in members)
        assert row.cost == pytest.approx(expected, nan_ok=True)


def test_intervals_are_those_of_resampled_examples(made):
    predictions, table, (_, reporting) = made
    names = list(predictions)
    singles, chosen = of_kind(table, "single"), table[table["chosen"]].iloc[0]
    best_N = correct(reporting, {names.index(singles["members"][0]): 1}).astype(float)
    set_N = correct(reporting, weights_of(chosen, names)).astype(float)
    for name, values_N in (("accuracy", set_N), ("gain", set_N - best_N)):
        found = stats.bootstrap(
            (values_N,), np.mean, confidence_level=0.9, method="percentile", rng=0
        ).confidence_interval
        assert chosen[f"{name}_low"] == pytest.approx(found.low, abs=0.008)
        assert chosen[f"{name}_high"] == pytest.approx(found.high, abs=0.008)
    for name in ("accuracy", "gain"):
        given = table[table[name].notna()]
        assert given[name].between(given[f"{name}_low"], given[f"{name}_high"]).all()


def test_nothing_is_chosen_by_the_examples_to_report_on(made, labels_N):
    predictions, table, _ = made
    permuted_N = labels_N.copy()
    permuted_N[N:] = np.random.default_rng(5).permutation(permuted_N[N:])
    again, _ = ranked(predictions, data(permuted_N))
    reported = ["accuracy", "gain", "error_inconsistency", "p_value"]
    reported += [f"{name}_{end}" for name in reported[:2] for end in ("low", "high")]
    pd.testing.assert_frame_equal(table.drop(columns=reported), again.drop(columns=reported))
    assert (table["accuracy"] > again["accuracy"]).all()


def test_copies_of_a_model_are_not_worth_ensembling(labels_N):
    model = predictions_of(2, labels_N)["one"]
    table, _ = ranked({"one": model, "copy": model, "third": model}, data(labels_N))
    chosen = table[table["chosen"]].iloc[0]
    assert (chosen["members"], chosen["size"]) == ("one", 1)
    assert not (table["kind"] == "member").any()
    assert (of_kind(table, "pair")[["gain", "gain_low", "gain_high"]] == 0).all(axis=None)
    assert ensembling.verdict(table, "letters", 0.95) == (
        "On letters no combination of these 3 models is shown to beat one alone, the best on the "
        "examples used to choose: none that greedy selection tried was more accurate there. On "
        f"300 other examples one has {100 * chosen['accuracy']:.1f} %."
    )


def test_a_set_that_beats_the_chosen_model_but_not_another_is_not_recommended():
    singles = [("one", 0.6, 1e-9), ("two", 0.7, 0.3)]
    rows = [
        {
            "kind": "single",
            "members": m,
            "vote": "class",
            "accuracy": a,
            "p_value": p,
            "chosen": False,
        }
        for m, a, p in singles
    ]
    chosen = {"kind": "set", "members": "one + two", "weights": "0.50 + 0.50", "size": 2}
    chosen |= {"accuracy": 0.71, "gain": 0.11, "gain_low": 0.1, "gain_high": 0.12, "chosen": True}
    verdict = ensembling.verdict(pd.DataFrame([chosen, *rows]).assign(n=1000), "letters", 0.95)
    assert verdict.startswith("On letters no combination of these 2 models is shown to beat every")
    assert "On these, two alone has 70.0 %." in verdict


def test_p_values_are_those_of_the_exact_test_of_mcnemar(made):
    predictions, table, (_, reporting) = made
    chosen = weights_of(table[table["chosen"]].iloc[0], list(predictions))
    together_N = correct(reporting, chosen)
    for row in of_kind(table, "single").itertuples():
        alone_N = correct(reporting, {list(predictions).index(row.members): 1})
        wins, losses = (together_N & ~alone_N).sum(), (alone_N & ~together_N).sum()
        # Weights in the table are rounded, which is decisive here and there.
        p_value = stats.binom.sf(wins - 1, wins + losses, 0.5)
        assert np.log10(row.p_value) == pytest.approx(np.log10(p_value), rel=0.2, abs=0.3)


def test_without_a_tune_split_the_other_is_halved_and_so_is_each_class():
    labels_N = np.repeat(np.arange(C), [40, 20, 11, 8, 2])
    splits_N = np.where(np.arange(81) % 9 == 0, "unused", "report")
    examples = data(labels_N, splits_N)
    choose, report = ensembling.halves(examples, "tune", "report", 0)
    together = np.sort(np.concatenate([choose, report]))
    np.testing.assert_array_equal(together, np.flatnonzero(splits_N == "report"))
    counts = [np.bincount(labels_N[rows], minlength=C) for rows in (choose, report)]
    assert (abs(counts[0] - counts[1]) <= 1).all()
    assert len(report) - len(choose) in (0, 1)
    np.testing.assert_array_equal(ensembling.halves(examples, "tune", "report", 0)[0], choose)
    assert set(ensembling.halves(examples, "tune", "report", 1)[0]) != set(choose)


def test_splits_that_are_there_are_used(labels_N):
    choose, report = ensembling.halves(data(labels_N), "tune", "report", 0)
    np.testing.assert_array_equal(choose, np.arange(N))
    np.testing.assert_array_equal(report, np.arange(N, 2 * N))


def test_examples_that_cannot_be_used_are_refused():
    with pytest.raises(InputError, match="'letters' may have several accepted classes"):
        several = data(np.ones((4, C), np.uint8), np.array(["report"] * 4))
        ensembling.halves(several, "tune", "report", 0)
    with pytest.raises(InputError, match="'letters' has one example in split 'report'"):
        ensembling.halves(data(np.array([1]), np.array(["report"])), "tune", "report", 0)


def said(size=2, accuracies=(0.784, 0.754), ends=(0.023, 0.037), votes=None, n=5000):
    """The verdict on a small table: accuracies of the chosen set, and of two models or more."""
    models = ["wide", "dense", "third"]
    accuracies = [*accuracies, *[accuracies[1]] * (4 - len(accuracies))]
    chosen = {
        "kind": "set",
        "members": " + ".join(models[:size]),
        "weights": {1: "1.00", 2: "0.67 + 0.33", 3: "0.33 + 0.33 + 0.33"}[size],
        "size": size,
        "accuracy": accuracies[0],
        "gain": accuracies[0] - accuracies[1],
        "gain_low": ends[0],
        "gain_high": ends[1],
        "chosen": True,
    }
    votes = votes or ["probabilities"] * 3
    rows = [
        {
            "kind": "single",
            "members": model,
            "vote": vote,
            "accuracy": accuracy,
            "p_value": 0.001 if ends[0] > 0 else 0.4,
            "chosen": False,
        }
        for model, vote, accuracy in zip(models, votes, accuracies[1:], strict=True)
    ]
    return ensembling.verdict(pd.DataFrame([chosen, *rows]).assign(n=n), "cifar100", 0.95)


def test_the_verdict_says_which_are_worth_it():
    assert said() == (
        "On cifar100, wide (weight 0.67) and dense (0.33) are worth ensembling: 78.4 % against "
        "75.4 % for wide alone, the best on the examples used to choose, so 3.0 points [2.3, 3.7] "
        "more on 5,000 other examples."
    )
    assert said(3).startswith(
        "On cifar100, wide, dense and third, equally weighted, are worth ensembling: 78.4 %"
    )


@pytest.mark.parametrize("low, written", [(-0.003, "-0.3"), (0.0, "0.0"), (-0.00021, "-0.02")])
def test_the_verdict_says_that_none_is_shown_to_be_worth_it(low, written):
    assert said(accuracies=(0.756, 0.754), ends=(low, 0.007)) == (
        "On cifar100 no combination of these 3 models is shown to beat every one of them (p = 0.4, "
        "one-sided): what greedy selection chose, wide + dense, has 75.6 % against 75.4 % for wide "
        "alone, the best on the examples used to choose, a difference of 0.2 points "
        f"[{written}, 0.7] on 5,000 other examples."
    )


@pytest.mark.parametrize(
    "size, accuracies, ends, sentence",
    [
        (2, (0.784, 0.754, 0.75, 0.761), (0.023, 0.037), " On these, third alone has 76.1 %."),
        (2, (0.756, 0.754, 0.761, 0.75), (-0.01, 0.01), " On these, dense alone has 76.1 %."),
        (2, (0.75, 0.754, 0.752, 0.74), (-0.01, 0.01), ""),
        (1, (0.754, 0.754, 0.7541, 0.7), (0, 0), " On these, dense alone has 75.41 %."),
        (2, (0.784, 0.754, 0.754, 0.75), (0.023, 0.037), ""),
        (1, (0.754, 0.754, 0.754, 0.7), (0, 0), ""),
    ],
)
def test_a_model_that_is_better_on_the_reported_examples_is_named(size, accuracies, ends, sentence):
    verdict = said(size, accuracies, ends)
    assert "wide alone, the best on the examples used to choose" in verdict
    alone = "75.40 %" if "75.41" in sentence else "75.4 %"
    end = " on 5,000 other examples." if size > 1 else f"On 5,000 other examples wide has {alone}."
    assert verdict.endswith(end + sentence)


def test_a_gain_too_small_for_one_decimal_is_not_written_as_none():
    verdict = said(accuracies=(0.7544, 0.754), ends=(0.0002, 0.0006))
    assert "75.44 % against 75.40 %" in verdict
    assert "0.04 points [0.02, 0.06]" in verdict


def test_accuracies_get_another_decimal_where_their_rounded_difference_is_not_the_gain():
    assert "95.33 % against 79.17 %" in said(accuracies=(572 / 600, 475 / 600), n=600)


@given(st.integers(2, 30_000), st.data())
def test_the_printed_accuracies_differ_by_the_printed_gain(n, drawn):
    right = [drawn.draw(st.integers(0, n)) for _ in range(2)]
    verdict = said(accuracies=[count / n for count in right], ends=(-1, 1), n=n)
    found = re.search(r"has (\S+) % against (\S+) % for .* difference of (\S+) points", verdict)
    chosen, alone, gain = map(Decimal, found.groups())
    assert chosen - alone == gain
    for printed, count in zip((chosen, alone), right, strict=True):
        assert abs(float(printed) - 100 * count / n) < 0.0501
    assert float(gain) == pytest.approx(100 * (right[0] - right[1]) / n, abs=0.0501)
    assert (gain > 0, gain < 0) == (right[0] > right[1], right[0] < right[1])


def test_the_verdict_says_how_models_without_probabilities_vote():
    assert said(votes=["probabilities", "confidence", "class"]).endswith(
        "examples. Models without all probabilities vote with their confidence (1 of 3) or with "
        "their class, weighted by accuracy (1 of 3)."
    )
    assert said(votes=["class"] * 3).endswith(
        "Models without all probabilities vote with their class, weighted by accuracy (3 of 3)."
    )
