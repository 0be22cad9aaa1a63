"""Which of some models are worth ensembling: chosen on some examples, reported on others."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from dissent.bootstrap import multinomial_interval
from dissent.commandline import InputError
from dissent.ensembles import ensemble_counts
from dissent.examples import Examples
from dissent.pairwise import accuracies, all_pairs, error_inconsistency, pair_counts
from dissent.selection import best_prefixes, greedy_selection, prefix_correct
from dissent.votes import VOTE_OF_OUTPUT, Votes

ROUNDS_PER_MEMBER = 3  # so that weights of members differ in steps fine enough
JOINED = " + "
CLASS = VOTE_OF_OUTPUT["classes"]
KINDS = ["set", "member", "single", "pair"]
COLUMNS = [
    *("kind", "rank", "members", "weights", "size", "vote"),
    *("accuracy_chosen", "accuracy", "accuracy_low", "accuracy_high"),
    *("gain", "gain_low", "gain_high", "gain_chosen", "p_value"),
    *("error_inconsistency", "cost", "chosen", "n", "left_out"),
]


def halves(
    examples: Examples, tune_split: str, report_split: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the examples to choose on and of those to report on.

    The two splits; if there is no `tune_split`, halves of the other, at random but with as many of
    each class. Raises InputError for examples with several accepted classes, or too few.
    """
    if examples.labels.ndim != 1:
        raise InputError(
            f"examples of data set {examples.name!r} may have several accepted classes: rank "
            "ensembles on a data set with one label an example"
        )
    report = examples.where(report_split)
    if tune_split in examples.splits_N:
        return examples.where(tune_split), report
    if len(report) < 2:
        raise InputError(
            f"data set {examples.name!r} has one example in split {report_split!r}: give at least "
            f"two, or a split {tune_split!r} to choose on"
        )
    # Every other one of the examples in the order of their classes, shuffled within these.
    order = np.random.default_rng(seed).permutation(report)
    order = order[np.argsort(examples.labels[order], kind="stable")]
    return np.sort(order[1::2]), np.sort(order[::2])


class _Plan(NamedTuple):
    """The ensembles to measure, as positions of models; nothing here is from the report half."""

    ranked: np.ndarray  # models, most accurate first
    sets: list[list[int]]  # orders of greedy additions, one a number of different members
    chosen: int  # position in `sets`
    members: list[int]  # of the chosen set, if there are several
    without: list[list[int]]  # the chosen set without each of them
    pairs_P2: np.ndarray  # the more accurate one first


def rank(
    models: pd.DataFrame,
    choosing: Votes,
    reporting: Votes,
    max_members: int,
    n_resamples: int,
    seed: int,
    level: float,
) -> pd.DataFrame:
    """Best set of each size, members of the best of all, models and pairs, with COLUMNS.

    `models` has columns `model`, `vote` (a value of VOTE_OF_OUTPUT) and `cost` (NaN if unknown), in
    the order of the votes. Whatever is called better is so on the examples to choose on: `rank` (1
    is the best of its kind), weights and `chosen` follow from these alone. The gain of a pair is
    over its better member, that of a set over the best model, that of a member of the chosen set
    over the set without it, that of a single model what the chosen set gains over it. Intervals are
    paired bootstraps over the examples to report on, and so is `p_value` of these: that the chosen
    set is no more accurate than a single model (McNemar, exact, one-sided).
    """
    plan = _plan(choosing, min(max_members, len(models)))
    table = _described(plan, models)
    shown_R22, gained_R22, _ = _counts(plan, choosing, models)
    table["accuracy_chosen"], table["gain_chosen"] = _second(shown_R22), _gain(gained_R22)
    shown_R22, gained_R22, pairs_P22 = _counts(plan, reporting, models)
    for name, measure, counts in (("accuracy", _second, shown_R22), ("gain", _gain, gained_R22)):
        low_R, high_R = multinomial_interval(counts, measure, n_resamples, seed, level)
        table[name], table[f"{name}_low"], table[f"{name}_high"] = measure(counts), low_R, high_R
    table.loc[table["kind"] == "pair", "error_inconsistency"] = error_inconsistency(pairs_P22)
    single = table["kind"] == "single"
    table.loc[single, "p_value"] = [mcnemar_p_value(counts) for counts in gained_R22[single]]
    table.loc[table["left_out"] == "gain", ["gain", "gain_low", "gain_high", "gain_chosen"]] = (
        np.nan
    )
    return _ordered(table.assign(n=len(reporting.labels_N)))[COLUMNS]


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """The rows with their rank: sets by size, then the other kinds by rank."""
    by_accuracy = table["kind"].isin(["set", "single"])
    quality = table["accuracy_chosen"].where(by_accuracy, table["gain_chosen"])
    rank_R = quality.groupby(table["kind"]).rank(method="first", ascending=False)
    place_R = rank_R.where(table["kind"] != "set", table["size"]).fillna(np.inf)
    order_R = np.lexsort([place_R, table["kind"].map(KINDS.index)])
    return table.assign(rank=rank_R.astype("Int64")).iloc[order_R].reset_index(drop=True)


def _plan(choosing: Votes, max_members: int) -> _Plan:
    selection = greedy_selection(choosing, max_members, ROUNDS_PER_MEMBER * max_members)
    order, lengths = selection.order, np.array(best_prefixes(selection))
    chosen = int(selection.accuracy_R[lengths - 1].argmax())
    best = order[: lengths[chosen]]
    members = list(dict.fromkeys(best)) if chosen else []
    # Among models of equal accuracy the one that selection starts from is the best.
    accuracy_M = (choosing.predicted_MN == choosing.labels_N).mean(axis=1)
    ranked = np.lexsort([np.arange(len(accuracy_M)) != order[0], -accuracy_M])
    return _Plan(
        ranked,
        [order[:length] for length in lengths],
        chosen,
        members,
        [[m for m in best if m != member] for member in members],
        ranked[all_pairs(len(ranked))],
    )


def _described(plan: _Plan, models: pd.DataFrame) -> pd.DataFrame:
    """A row an ensemble, in the order of the plan: what it is made of."""
    weight = Counter(plan.sets[plan.chosen])
    total = weight.total()
    rows = [("set", Counter(order), len(order)) for order in plan.sets]
    rows += [("member", {member: weight[member]}, total) for member in plan.members]
    rows += [("single", {model: 1}, 1) for model in plan.ranked]
    rows += [("pair", {first: 1, second: 1}, 2) for first, second in plan.pairs_P2]
    described = []
    for kind, counts, n_votes in rows:
        members = sorted(counts, key=counts.get, reverse=True)
        votes = set(models["vote"].iloc[members])
        is_best_member = kind == "pair" and votes == {CLASS}
        described.append(
            {
                "kind": kind,
                "members": JOINED.join(models["model"].iloc[members]),
                "weights": JOINED.join(f"{counts[m] / n_votes:.2f}" for m in members),
                "size": len(members),
                "vote": JOINED.join(vote for vote in VOTE_OF_OUTPUT.values() if vote in votes),
                "cost": models["cost"].iloc[members].sum(skipna=False),
                "left_out": "gain" if is_best_member else "",
            }
        )
    return pd.DataFrame(described).assign(chosen=np.arange(len(rows)) == plan.chosen)


def _counts(plan: _Plan, votes: Votes, models: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """Counts of each row of the plan behind its accuracy and its gain, [R, 2, 2]; of each pair.

    The first two are indexed [other right, ensemble right] with the other that the gain is over;
    the last, [P, 2, 2], by which member is right.
    """
    prefixes_KN = prefix_correct(votes, plan.sets[-1])
    correct_KN = np.stack(
        [
            *(votes.predicted_MN == votes.labels_N),
            *(prefixes_KN[len(order) - 1] for order in plan.sets),
            *(prefix_correct(votes, order)[-1] for order in plan.without),
        ]
    )
    # Rows of `correct_KN`: the models, then the sets, then the chosen set without each member.
    best, first_set = plan.ranked[0], len(plan.ranked)
    sets = [(best, first_set + k) for k in range(len(plan.sets))]
    members = [(best, member) for member in plan.members]
    singles = [(best, model) for model in plan.ranked]
    beaten = [(model, first_set + plan.chosen) for model in plan.ranked]
    first_without, chosen = first_set + len(sets), first_set + plan.chosen
    added = [(first_without + k, chosen) for k in range(len(members))]
    pairs_P222 = ensemble_counts(*votes, "mean_probability", plan.pairs_P2)
    gained_P22 = pairs_P222.sum(axis=-2)
    # Of two classes the one of the more accurate model wins: there is no other ensemble.
    is_class_P = (models["vote"] == CLASS).to_numpy()[plan.pairs_P2].all(axis=1)
    first_P = plan.pairs_P2[is_class_P, 0]
    gained_P22[is_class_P] = pair_counts(correct_KN, np.stack([first_P, first_P], axis=1))
    return (
        np.concatenate([pair_counts(correct_KN, sets + members + singles), gained_P22]),
        np.concatenate([pair_counts(correct_KN, sets + added + beaten), gained_P22]),
        pairs_P222.sum(axis=-1),
    )


def _second(counts: np.ndarray) -> np.ndarray:
    return accuracies(counts)[1]


def _gain(counts: np.ndarray) -> np.ndarray:
    # Of whole numbers, so that equal gains are equal and no gain is exactly 0.
    return (counts[..., 0, 1] - counts[..., 1, 0]) / counts.sum(axis=(-2, -1))


def mcnemar_p_value(counts_22: np.ndarray) -> float:
    """That the second is no more often right alone than the first: McNemar, exact, one-sided."""
    alone = counts_22[0, 1], counts_22[1, 0]
    return binomtest(alone[0], sum(alone), alternative="greater").pvalue if sum(alone) else 1.0


def verdict(table: pd.DataFrame, data: str, level: float) -> str:
    """What the table of `rank` says of the data set of that name, in two sentences or three.

    Models are worth ensembling if the chosen set is more accurate than every single model, each by
    a one-sided test at (1 - level) / 2: the best on the examples to choose on may not be the best.
    """
    best_set = table[table["chosen"]].iloc[0]
    singles = table[table["kind"] == "single"]
    best, other = singles.iloc[0], singles.loc[singles["accuracy"].idxmax()]
    is_better = other["accuracy"] > best["accuracy"]
    named = [best_set, best, *([other] if is_better else [])]
    percents = [100 * row["accuracy"] for row in named]
    decimals = _decimals(percents, 100 * best_set["gain"])
    shown = [f"{percent:.{decimals}f} %" for percent in percents]
    # Of the printed accuracies, as a reader subtracts them.
    gain = round(percents[0], decimals) - round(percents[1], decimals)
    low, high = (_points(100 * best_set[f"gain_{end}"], decimals) for end in ("low", "high"))
    gained = f"{gain:.{decimals}f} points [{low}, {high}]"
    alone = f"{best['members']} alone, the best on the examples used to choose"
    unused = f"{best_set['n']:,} other examples"
    no_combination = f"On {data} no combination of these {len(singles)} models is shown to beat"
    p_value = singles["p_value"].max()
    if best_set["size"] == 1:
        sentence = (
            f"{no_combination} {alone}: none that greedy selection tried was more accurate there. "
            f"On {unused} {best['members']} has {shown[1]}."
        )
    elif p_value < (1 - level) / 2:
        sentence = (
            f"On {data}, {_weighted(best_set)} are worth ensembling: {shown[0]} against "
            f"{shown[1]} for {alone}, so {gained} more on {unused}."
        )
    else:
        sentence = (
            f"{no_combination} every one of them (p = {p_value:.2g}, one-sided): what greedy "
            f"selection chose, {best_set['members']}, has {shown[0]} against {shown[1]} for "
            f"{alone}, a difference of {gained} on {unused}."
        )
    of_other = [f"On these, {other['members']} alone has {shown[2]}."] if is_better else []
    return " ".join([sentence, *of_other, *_without_probabilities(singles["vote"])])


def _decimals(percents: list[float], gain: float) -> int:
    """As few as tell the accuracies apart; one more if the first two then differ by another gain.

    No more than that: of thirds no number of decimals gives the gain.
    """

    def told_apart(decimals: int) -> int:
        return len({round(percent, decimals) for percent in percents})

    few = next(decimals for decimals in range(1, 10) if told_apart(decimals) == told_apart(9))
    difference = round(percents[0], few) - round(percents[1], few)
    return few if round(difference, few) == round(gain, few) else few + 1


def _weighted(best_set: pd.Series) -> str:
    """The members of a set in words, with their weights unless these are equal."""
    names, weights = (best_set[column].split(JOINED) for column in ("members", "weights"))
    equal = len(set(weights)) == 1
    if not equal:
        names = [f"{name} ({weight})" for name, weight in zip(names, weights, strict=True)]
        names[0] = names[0].replace(f"({weights[0]})", f"(weight {weights[0]})")
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed}, equally weighted," if equal else listed


def _without_probabilities(vote_M: pd.Series) -> list[str]:
    """A sentence on how models without all probabilities vote, if there are any."""
    ways = {"confidence": "their confidence", "class": "their class, weighted by accuracy"}
    said = [
        f"{way} ({(vote_M == vote).sum()} of {len(vote_M)})"
        for vote, way in ways.items()
        if (vote_M == vote).any()
    ]
    return [f"Models without all probabilities vote with {' or with '.join(said)}."] if said else []


def _points(points: float, decimals: int) -> str:
    """With so many decimals, or with as many as show on which side of 0 they are."""
    enough = points == 0 or round(points, decimals) != 0
    return f"{points:.{decimals}f}" if enough else f"{points:.1g}"
