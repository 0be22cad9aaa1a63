from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax

from dissent import choices
from dissent.choices import CHOICE, Options
from dissent.commandline import InputError
from dissent.finetuned import FineTuning, FineTunings

# By rank: pool, and place there.
PLACES = [("wide", 1), ("deep", 1), ("wide", 2), ("deep", 2), ("deep", 3), ("wide", 3)]
MODELS = [f"{pool}{place}" for pool, place in PLACES]
COSTS = dict(zip(MODELS, [10, 20, 12, 5, 30, 8], strict=True))
RATES, MORE_RATES, SEEDS, N_CLASSES = [0.1, 0.01], [0.2, 0.05, 0.02, 0.005], [0, 1], 5
OPTIONS = Options(
    fine_tuned=3,
    pools=["deep", "wide"],
    max_members=5,
    replacement=True,
    stop="best",
    bags=4,
    bag_share=0.5,
    budgets=[0.4, 1.0, 3.0],
    random_draws=12,
)


def ranking_of(pools=True):
    return pd.DataFrame(
        {
            "rank": range(1, 7),
            "model": MODELS,
            "category": [pool if pools else np.nan for pool, _ in PLACES],
            "place": [place if pools else rank + 1 for rank, (_, place) in enumerate(PLACES)],
        }
    )


def fine_tunings_of(pools=True, n_examples=60):
    """Fine-tunings by file, and labels: every model knows some classes better."""
    rng = np.random.default_rng(3)
    labels_N = rng.integers(0, N_CLASSES, n_examples)

    def made(model, rates, heads):
        runs = tuple(FineTuning(r, 12, h, s) for s in SEEDS for h in heads for r in rates)
        sure_C = np.random.default_rng(MODELS.index(model)).uniform(0, 2.5, N_CLASSES)
        scores_RNC = rng.normal(size=(len(runs), n_examples, N_CLASSES))
        scores_RNC += sure_C * np.eye(N_CLASSES)[labels_N]
        predicted_RNC = log_softmax(scores_RNC, axis=2).astype(np.float32)
        return FineTunings(model, model, runs, np.arange(n_examples), predicted_RNC)

    if pools:
        files = {
            f"{pool}-{place}": model for (pool, place), model in zip(PLACES, MODELS, strict=True)
        }
    else:
        files = {f"all-{rank}": model for rank, model in enumerate(MODELS[:3], start=1)}
    fine_tunings = {file: made(model, RATES, [0]) for file, model in files.items()}
    fine_tunings["more-settings"] = made(MODELS[0], MORE_RATES, [0])
    fine_tunings["more-heads"] = made(MODELS[0], RATES, [1, 2])
    return fine_tunings, labels_N


def choose(fine_tunings, labels_N, pools=True, **changed):
    true_MN = np.concatenate(
        [
            choices.true_probabilities(f.log_probabilities_RNC, labels_N)
            for f in fine_tunings.values()
        ]
    )
    options = OPTIONS._replace(pools=OPTIONS.pools if pools else [], **changed)
    table = choices.candidate_table(fine_tunings)
    return choices.choose(table, true_MN, ranking_of(pools), COSTS, options)


@pytest.fixture(scope="module")
def made():
    return fine_tunings_of()


@pytest.fixture(scope="module")
def chosen(made):
    return choose(*made)


def members(chosen, **identity):
    """Weight by (file, run) of one choice; by default of the one without a limit, of seed 1."""
    identity = {"seed": 1, "draw": 0, "models": 3, "size": 5, "budget": np.nan} | identity
    is_it = np.logical_and.reduce(
        [chosen[k].isna() if v != v else chosen[k] == v for k, v in identity.items()]
    )
    rows = chosen[is_it]
    assert rows["member"].tolist() == list(range(1, len(rows) + 1))
    return rows.set_index(["file", "run"])["weight"].to_dict()


def best_of(made, files, seed=1, size=5, replacement=True, budget=np.inf, stop="best"):
    """What a loop over all classes chooses greedily among the runs of some files."""
    fine_tunings, labels_N = made
    pool = [
        (file, run)
        for file in files
        for run, about in enumerate(fine_tunings[file].runs)
        if about.seed == seed
    ]

    def loss(order):
        members = [fine_tunings[f].log_probabilities_RNC[r].astype(float) for f, r in order]
        mean_NC = np.exp(members).mean(axis=0)
        return -np.mean([np.log(mean_NC[n, label]) for n, label in enumerate(labels_N)])

    def affordable(order):
        return sum(COSTS[fine_tunings[f].model] for f, _ in set(order)) <= budget * COSTS[MODELS[0]]

    order, losses = [], []
    while len(order) < size:
        trials = [[*order, c] for c in pool if replacement or c not in order]
        trials = [trial for trial in trials if affordable(trial)]
        if not trials:
            break
        order = min(trials, key=loss)
        losses.append(loss(order))
    rises = [r for r in range(1, len(losses)) if losses[r] > losses[r - 1]]
    n_kept = np.argmin(losses) + 1 if stop == "best" else [*rises, len(losses)][0]
    return {member: n / n_kept for member, n in Counter(order[:n_kept]).items()}


TOP = ["wide-1", "deep-1", "wide-2"]
SOURCES = {
    "greedy": TOP,
    "settings": ["wide-1", "more-settings"],
    "heads": ["wide-1", "more-heads"],
    "deep": ["deep-1", "deep-2", "deep-3"],
    "wide": ["wide-1", "wide-2", "wide-3"],
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("method", SOURCES)
def test_every_source_is_chosen_from_as_a_loop_does(made, chosen, method, seed):
    found = members(chosen, method=method, seed=seed)
    assert found == pytest.approx(best_of(made, SOURCES[method], seed))
    assert list(found) == list(best_of(made, SOURCES[method], seed))


def test_the_other_kind_of_greedy_and_the_best_alone(made, chosen):
    found = members(chosen, method="greedy-without-replacement")
    assert found == pytest.approx(best_of(made, TOP, replacement=False))
    assert members(chosen, method="single") == best_of(made, TOP, size=1)


def test_fewer_models_and_fewer_additions(made, chosen):
    greedy = chosen[chosen["method"] == "greedy"]
    limits = greedy.loc[greedy["budget"].isna(), ["models", "size"]].drop_duplicates()
    expected = {(3, 5), (1, 5), (2, 5), (3, 1), (3, 2), (3, 3), (3, 4)}
    assert sorted(map(tuple, limits.to_numpy())) == sorted(expected)
    for models, size in expected:
        found = members(chosen, method="greedy", models=models, size=size)
        assert found == pytest.approx(best_of(made, TOP[:models], size=size))


@pytest.mark.parametrize("method", ["greedy", "settings", "heads"])
def test_budgets_are_kept_and_those_below_every_candidate_left_out(made, chosen, method):
    of_method = chosen[(chosen["method"] == method) & chosen["budget"].notna()]
    assert set(of_method["budget"]) == {1.0, 3.0}
    for budget in (1.0, 3.0):
        found = members(chosen, method=method, budget=budget)
        assert found == pytest.approx(best_of(made, SOURCES[method], budget=budget))
    without = set(chosen["method"]) - {"greedy", "settings", "heads"}
    assert chosen.loc[chosen["method"].isin(without), "budget"].isna().all()


def test_all_and_random_are_uniform(made, chosen):
    every = members(chosen, method="all")
    assert list(every) == [(file, run) for file in TOP for run in (2, 3)]
    assert set(every.values()) == {1 / 6}
    n_members = len(members(chosen, method="greedy"))
    draws = [members(chosen, method="random", draw=draw) for draw in range(12)]
    for drawn in draws:
        assert set(drawn) <= set(every)
        assert set(drawn.values()) == {1 / n_members}
        assert len(drawn) == n_members
    assert len({frozenset(drawn) for drawn in draws}) > 1


def test_bagged_members_are_of_the_best_models_the_largest_first(chosen):
    weights = list(members(chosen, method="bagged").values())
    assert set(members(chosen, method="bagged")) <= set(members(chosen, method="all"))
    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 0


def test_rows_say_what_each_member_is(made, chosen):
    fine_tunings, _ = made
    for row in chosen.itertuples():
        of_file = fine_tunings[row.file]
        run = FineTuning(row.learning_rate, row.steps, row.head, row.seed)
        assert (of_file.model, of_file.runs[row.run]) == (row.model, run)
    sums = chosen.groupby(CHOICE, dropna=False)["weight"].sum()
    np.testing.assert_allclose(sums, 1)
    assert not chosen.duplicated([*CHOICE, "file", "run"]).any()


def test_greedy_may_be_without_replacement_and_stop_at_a_rise(made):
    found = choose(*made, replacement=False, stop="first_rise")
    options = {"replacement": False, "stop": "first_rise"}
    assert members(found, method="greedy") == pytest.approx(best_of(made, TOP, **options))
    other = members(found, method="greedy-with-replacement")
    assert other == pytest.approx(best_of(made, TOP, stop="first_rise"))
    assert "greedy-without-replacement" not in set(found["method"])


def test_without_pools_and_further_fine_tunings_these_methods_are_left_out():
    fine_tunings, labels_N = fine_tunings_of(pools=False)
    del fine_tunings["more-settings"], fine_tunings["more-heads"]
    found = choose(fine_tunings, labels_N, pools=False)
    assert set(found["file"]) <= {"all-1", "all-2", "all-3"}
    methods = {"single", "greedy", "greedy-without-replacement", "bagged", "all", "random"}
    assert set(found["method"]) == methods


def test_the_same_again(made, chosen):
    pd.testing.assert_frame_equal(choose(*made), chosen)


def test_fine_tunings_that_the_ranking_does_not_have_are_refused(made):
    fine_tunings, labels_N = made
    missing = {file: f for file, f in fine_tunings.items() if file != "deep-1"}
    with pytest.raises(InputError, match=r"no fine-tunings deep-1 of 'deep1'"):
        choose(missing, labels_N)
    swapped = fine_tunings | {"deep-1": fine_tunings["deep-2"]}
    with pytest.raises(InputError, match="deep-1 are of 'deep2', and the ranking has 'deep1'"):
        choose(swapped, labels_N)


def test_models_without_costs_are_refused(made):
    with pytest.raises(InputError, match="no model 'wide3'"):
        choices.choose(
            choices.candidate_table(made[0]),
            np.zeros((0, 0)),
            ranking_of(),
            dict.fromkeys(MODELS[:-1], 1),
            OPTIONS,
        )
