"""Which fine-tunings make an ensemble: what every method chooses for a task, from tune alone.

A choice has the identity `CHOICE`: its method, the seed of its candidates, the draw (of `random`),
how many of the best-ranked models it considers, how many additions it may make, and its budget, in
multiples of the multiply-adds of the best-ranked model. With every method, the choice without a
limit has `fine_tuned` models, `max_members` additions and no budget (NaN).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from dissent.commandline import InputError
from dissent.cross_entropy_selection import bagged, greedy, kept
from dissent.finetuned import FineTunings

CHOICE = ["method", "seed", "draw", "models", "size", "budget"]
FINE_TUNING = ["file", "run", "model", "learning_rate", "steps", "head"]
COLUMNS = [*CHOICE, "member", *FINE_TUNING, "weight"]
EVERY_MODEL = "all"  # the pool of a run that names none
# Methods whose candidates are all of the best-ranked model, and the file they add to its sweep.
ONE_MODEL = {"settings": "more-settings", "heads": "more-heads"}
BAGS = 2**32 - 1  # in place of a draw, to tell the random numbers of bags from those of draws


class Options(NamedTuple):
    """What to choose from, and how; the names are those of the run file."""

    fine_tuned: int
    pools: Sequence[str]
    max_members: int
    replacement: bool
    stop: str
    bags: int
    bag_share: float
    budgets: Sequence[float]
    random_draws: int


class _Choice(NamedTuple):
    """A choice but for its seed; `shares` are those of members, by position of the candidate."""

    method: str
    shares: Mapping[int, float]
    models: int
    size: int
    budget: float = np.nan
    draw: int = 0


def candidate_table(fine_tunings: Mapping[str, FineTunings]) -> pd.DataFrame:
    """One row a fine-tuning, by file and then run: FINE_TUNING and `seed`."""
    rows = [
        (file, index, of_file.model, run.learning_rate, run.steps, run.head, run.seed)
        for file, of_file in fine_tunings.items()
        for index, run in enumerate(of_file.runs)
    ]
    return pd.DataFrame(rows, columns=[*FINE_TUNING, "seed"])


def true_probabilities(log_probabilities_RNC: np.ndarray, labels_N: np.ndarray) -> np.ndarray:
    """The probability of each example's class, float64 [R, N]."""
    true_RN = log_probabilities_RNC[:, np.arange(len(labels_N)), labels_N]
    return np.exp(true_RN, dtype=np.float64)


def choose(
    candidates: pd.DataFrame,
    true_MN: np.ndarray,
    ranking: pd.DataFrame,
    costs: Mapping[str, int],
    options: Options,
) -> pd.DataFrame:
    """One row a member of a choice (COLUMNS): of every method, with each seed there is.

    `candidates` is a `candidate_table`, `true_MN` the probability of each tune example's class,
    `ranking` has columns rank, model, category and place, `costs` the multiply-adds of each model.
    Raises InputError for tables that do not go together, and for probabilities that are NaN.
    """
    files = best_files(ranking, options)
    _check(candidates, files, costs)
    tables = []
    for seed in np.unique(candidates["seed"]):
        is_of_seed = (candidates["seed"] == seed).to_numpy()
        of_seed = candidates[is_of_seed].reset_index(drop=True)
        cost_M = of_seed["model"].map(costs).to_numpy()
        for choice in _choices(of_seed, true_MN[is_of_seed], cost_M, list(files), options):
            identity = choice._asdict()
            shares = identity.pop("shares")
            members = of_seed.loc[list(shares)].assign(
                **identity, member=range(1, len(shares) + 1), weight=list(shares.values())
            )
            tables.append(members[COLUMNS])
    return pd.concat(tables, ignore_index=True)


def best_files(ranking: pd.DataFrame, options: Options) -> dict[str, str]:
    """Files with the fine-tunings of the best-ranked models, best first, and their models."""
    best = ranking.sort_values("rank").head(options.fine_tuned)
    return {
        f"{row.category}-{row.place}" if options.pools else f"{EVERY_MODEL}-{row.rank}": row.model
        for row in best.itertuples()
    }


def _choices(
    of_seed: pd.DataFrame,
    true_MN: np.ndarray,
    cost_M: np.ndarray,
    files: list[str],
    options: Options,
) -> Iterator[_Choice]:
    """All choices among the fine-tunings with one seed; `files` are those of the best models."""
    models, size, replacement = options.fine_tuned, options.max_members, options.replacement
    by_file = of_seed.groupby("file").indices
    unit = cost_M[by_file[files[0]][0]]

    def pool(names: Sequence[str]) -> np.ndarray:
        return np.concatenate([by_file[name] for name in names])

    def select(pool_K, size=size, replacement=replacement, budget=np.inf) -> dict[int, float]:
        trajectory = greedy(true_MN[pool_K], size, replacement, cost_M[pool_K], budget * unit)
        return _shares(pool_K[kept(trajectory, options.stop)])

    best = pool(files)
    whole = select(best)
    yield _Choice("single", select(best, size=1), models, size)
    yield _Choice("greedy", whole, models, size)
    other = "greedy-without-replacement" if replacement else "greedy-with-replacement"
    yield _Choice(other, select(best, replacement=not replacement), models, size)
    seed = int(of_seed["seed"].iloc[0])
    yield _Choice("bagged", _bagged(best, true_MN, seed, options), models, size)
    yield _Choice("all", _shares(best), models, size)
    for draw in range(options.random_draws):
        rng = np.random.default_rng([seed, draw])
        drawn = rng.choice(best, len(whole), replace=False)
        yield _Choice("random", _shares(drawn), models, size, draw=draw)
    one_model = {
        method: pool([files[0], more]) for method, more in ONE_MODEL.items() if more in by_file
    }
    of_pools = {
        name: pool([f"{name}-{place + 1}" for place in range(models)]) for name in options.pools
    }
    for method, candidates in (one_model | of_pools).items():
        yield _Choice(method, select(candidates), models, size)

    for fewer in range(1, models):
        yield _Choice("greedy", select(pool(files[:fewer])), fewer, size)
    for smaller in range(1, size):
        yield _Choice("greedy", select(best, size=smaller), models, smaller)
    for method, candidates in ({"greedy": best} | one_model).items():
        for budget in options.budgets:
            if shares := select(candidates, budget=budget):
                yield _Choice(method, shares, models, size, budget)


def _bagged(
    pool_K: np.ndarray, true_MN: np.ndarray, seed: int, options: Options
) -> dict[int, float]:
    """Shares of the members of the bagged choice, the largest first."""
    weight_K = bagged(
        true_MN[pool_K],
        options.max_members,
        options.bags,
        options.bag_share,
        np.random.default_rng([seed, BAGS]),
        options.replacement,
        options.stop,
    )
    largest = np.argsort(-weight_K, kind="stable")
    return {int(pool_K[k]): weight_K[k] for k in largest if weight_K[k] > 0}


def _shares(order: Sequence[int]) -> dict[int, float]:
    """The share of each member, in the order of their first addition."""
    return {int(position): count / len(order) for position, count in Counter(order).items()}


def _check(candidates: pd.DataFrame, files: Mapping[str, str], costs: Mapping[str, int]) -> None:
    """Raise InputError unless there are fine-tunings of the best models, and costs of all."""
    models = dict(zip(candidates["file"], candidates["model"], strict=True))
    for file, model in files.items():
        if file not in models:
            raise InputError(
                f"there are no fine-tunings {file} of {model!r}, one of the best-ranked models: "
                "add their file"
            )
        if models[file] != model:
            raise InputError(
                f"fine-tunings {file} are of {models[file]!r}, and the ranking has {model!r} at "
                "this place: fine-tune again"
            )
    if missing := sorted(set(models.values()) - set(costs)):
        raise InputError(f"the table of costs has no model {missing[0]!r}: count costs again")
