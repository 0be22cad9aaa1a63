"""Ensembles chosen greedily by cross-entropy (Caruana et al. 2004, section 2).

An ensemble is an order of candidates: the mean of their probabilities, each time a candidate comes
counting once. Its cross-entropy, the mean of -log p, needs the probability of the true class alone,
and this is all that functions here take: `true_MN`, float64 [M candidates, N examples]. Losses are
in nats an example, and infinite where the true class of one has probability 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dissent.commandline import InputError


class Trajectory(NamedTuple):
    """The order of R additions, and the loss of the ensemble after each."""

    order: list[int]
    loss_R: np.ndarray


def greedy(
    true_MN: np.ndarray,
    max_members: int,
    replacement: bool = True,
    cost_M: np.ndarray | None = None,
    budget: float = np.inf,
) -> Trajectory:
    """Add, in each round, the candidate that makes the loss of the ensemble least.

    Ties go to the lower index. With replacement a candidate may come again. The costs of different
    members add up to `budget` at most. It ends after `max_members` additions, or where nothing is
    left to add, which may be at the start. The examples are used to choose, so report on others.

    Raises InputError for probabilities that are NaN.
    """
    if n_bad := np.count_nonzero(np.isnan(true_MN).any(axis=1)):
        raise InputError(
            f"{n_bad} of {len(true_MN)} candidates have probabilities that are NaN: leave them out"
        )
    cost_M = np.zeros(len(true_MN)) if cost_M is None else cost_M
    is_member_M = np.zeros(len(true_MN), bool)
    sum_N = np.zeros(true_MN.shape[1])
    order, losses = [], []
    for n_members in range(1, max_members + 1):
        affordable_M = cost_M[is_member_M].sum() + cost_M <= budget
        allowed_M = affordable_M | is_member_M if replacement else affordable_M & ~is_member_M
        if not allowed_M.any():
            break
        loss_M = _losses(sum_N, true_MN)
        allowed = np.flatnonzero(allowed_M)
        best = int(allowed[loss_M[allowed].argmin()])
        order.append(best)
        losses.append(loss_M[best] + np.log(n_members))
        is_member_M[best] = True
        sum_N += true_MN[best]
    return Trajectory(order, np.array(losses))


def kept(trajectory: Trajectory, stop: str) -> list[int]:
    """The first additions, as many as are worth keeping.

    With `stop` "best" those of least loss, of equal ones the fewest; with "first_rise" all before
    the first that makes the loss greater.
    """
    loss_R = trajectory.loss_R
    if stop == "best":
        return trajectory.order[: loss_R.argmin() + 1] if trajectory.order else []
    rises = np.flatnonzero(loss_R[1:] > loss_R[:-1])
    return trajectory.order[: rises[0] + 1] if len(rises) else trajectory.order


def weights(order: Sequence[int], n_candidates: int) -> np.ndarray:
    """The share [M] of each candidate in an ensemble of at least one member."""
    return np.bincount(order, minlength=n_candidates) / len(order)


def bagged(
    true_MN: np.ndarray,
    max_members: int,
    bags: int,
    share: float,
    rng: np.random.Generator,
    replacement: bool = True,
    stop: str = "best",
) -> np.ndarray:
    """Shares [M] of candidates: the mean over bags of what is kept of a greedy choice in each.

    A bag holds a random `share` of the candidates, rounded, at least one (Caruana et al. 2004,
    section 2.3). Raises InputError as `greedy` does.
    """
    n_candidates = len(true_MN)
    n_drawn = max(1, round(share * n_candidates))
    total_M = np.zeros(n_candidates)
    for _ in range(bags):
        bag = np.sort(rng.choice(n_candidates, n_drawn, replace=False))
        order = kept(greedy(true_MN[bag], max_members, replacement), stop)
        total_M += weights(bag[order], n_candidates)
    return total_M / bags


def _losses(sum_N: np.ndarray, true_MN: np.ndarray) -> np.ndarray:
    """Loss [M] of the ensemble with each candidate, less the logarithm of its number of members."""
    trial_MN = sum_N + true_MN
    with np.errstate(divide="ignore"):
        return -np.log(trial_MN, out=trial_MN).mean(axis=1)
