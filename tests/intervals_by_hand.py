"""The interval of a mean difference from its definition, for tests of what takes such means."""

from scipy import stats


def by_hand(differences, level):
    """Mean and interval, written out in loops over tasks, seeds and images."""
    n_tasks, n_seeds = len(differences), len(differences[0])
    of_seed = [sum(d[s].sum() / d.shape[1] for d in differences) / n_tasks for s in range(n_seeds)]
    mean = sum(of_seed) / n_seeds
    parts = []
    for d in differences:
        n = d.shape[1]
        if n_seeds > 1:
            seed = [sum(d[s]) / n for s in range(n_seeds)]
            spread = sum((x - sum(seed) / n_seeds) ** 2 for x in seed) / (n_seeds - 1)
            parts.append((spread / n_seeds / n_tasks**2, n_seeds - 1))
        image = [sum(d[s, i] for s in range(n_seeds)) / n_seeds for i in range(n)]
        spread = sum((x - sum(image) / n) ** 2 for x in image) / (n - 1)
        parts.append((spread / n / n_tasks**2, n - 1))
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / f for part, f in parts)
    return mean, *stats.t.interval(level, freedom, mean, variance**0.5)
