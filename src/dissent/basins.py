"""Clusters of networks by the convexity gaps between them.

Gaps are [M, M], symmetric, with a diagonal of 0. Nothing here knows how accurate a network is, so
that clusters can be tested against accuracies. k-means always finds clusters: `shuffled_contrasts`
says what it finds where there are none.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import laplacian
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix

LEAST_MEMBERS = 4  # of fewer, two clusters cannot both have a pair
STARTS = 50  # of k-means
MOST_ITERATIONS = 300
SEEDS = 20  # of k-means, for its stability
NAMES = ("large", "small")


def square(values_P: np.ndarray, n_members: int) -> np.ndarray:
    """A symmetric matrix [M, M] with diagonal 0 from its pairs' values [P]."""
    matrix_MM = np.zeros((n_members, n_members))
    matrix_MM[np.triu_indices(n_members, 1)] = values_P
    return matrix_MM + matrix_MM.T


def affinity(gap_MM: np.ndarray, scale: float) -> np.ndarray:
    """exp(-gap**2 / (2 scale**2)), arXiv 2205.12411."""
    return np.exp(-(gap_MM**2) / (2 * scale**2))


def embed(affinity_MM: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """Spectral embedding [M, n_components] and all eigenvalues [M], ascending.

    Of the normalised Laplacian without self-loops; its eigenvectors, the constant one among them,
    are divided by the square roots of the degrees (von Luxburg 2007, section 3.2; as scikit-learn
    does).
    """
    laplacian_MM, root_M = laplacian(affinity_MM, normed=True, return_diag=True)
    eigenvalues_M, vectors_MM = np.linalg.eigh(laplacian_MM)
    return vectors_MM[:, :n_components] / root_M[:, None], eigenvalues_M


def spectral(affinity_MM: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters [M] of normalised spectral clustering, and the eigenvalues of `embed`."""
    embedding_MK, eigenvalues_M = embed(affinity_MM, k)
    return k_means(embedding_MK, k, seed)[0], eigenvalues_M


def membership(affinity_MM: np.ndarray, large_M: np.ndarray, seed: int) -> np.ndarray:
    """How much nearer each network is to the large cluster's centre than to the other, [M].

    |e - c1| - |e - c2| in the embedding of two components with the two centres of k-means there,
    arXiv 2205.12411; the sign, arbitrary there, is that of the centre nearer to networks `large_M`.
    """
    embedding_M2, _ = embed(affinity_MM, 2)
    _, centres_22 = k_means(embedding_M2, 2, seed)
    to_large_2 = np.linalg.norm(centres_22 - embedding_M2[large_M].mean(axis=0), axis=1)
    large, other = centres_22[np.argsort(to_large_2)]
    return np.linalg.norm(embedding_M2 - other, axis=1) - np.linalg.norm(
        embedding_M2 - large, axis=1
    )


def k_means(points_MK: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters [M] of points and their centres [k, K], the best of STARTS by Lloyd's algorithm.

    Starts are k points each. All run at once: for a few networks this is several times as fast as
    scikit-learn's ten, which matters where hundreds of matrices are clustered.
    """
    rng = np.random.default_rng(seed)
    order_SM = rng.permuted(np.tile(np.arange(len(points_MK)), (STARTS, 1)), axis=1)
    centres_SkK = points_MK[order_SM[:, :k]]
    for _ in range(MOST_ITERATIONS):
        squares_SMk = ((points_MK[:, None] - centres_SkK[:, None]) ** 2).sum(axis=-1)
        labels_SM = squares_SMk.argmin(axis=2)
        member_SMk = labels_SM[..., None] == np.arange(k)
        size_Sk1 = member_SMk.sum(axis=1)[..., None]
        means_SkK = np.einsum("smc,md->scd", member_SMk, points_MK) / np.maximum(size_Sk1, 1)
        moved_SkK = np.where(size_Sk1 > 0, means_SkK, centres_SkK)
        if np.array_equal(moved_SkK, centres_SkK):
            break
        centres_SkK = moved_SkK
    best = squares_SMk.min(axis=2).sum(axis=1).argmin()
    return labels_SM[best], centres_SkK[best]


def by_size(labels_M: np.ndarray, tie_M: np.ndarray) -> np.ndarray:
    """Names [M] of clusters: large, small, and "cluster 3" and so on, by size.

    Of equal size, the one with the higher mean of `tie_M` comes first, then that of the first
    network.
    """

    def rank(label: int) -> tuple:
        of_label_M = labels_M == label
        tie = np.nan_to_num(tie_M[of_label_M].mean())
        return -of_label_M.sum(), -tie, int(np.argmax(of_label_M))

    ordered = sorted(np.unique(labels_M), key=rank)
    return np.array([name(ordered.index(label)) for label in labels_M], dtype=object)


def name(rank: int) -> str:
    """What the cluster of this rank, from 0, is called."""
    return NAMES[rank] if rank < len(NAMES) else f"cluster {rank + 1}"


def as_named(labels_M: np.ndarray, names_M: np.ndarray) -> np.ndarray:
    """Names [M] for as many clusters of the same networks, so that most keep their name."""
    shared_KK = contingency_matrix(labels_M, names_M)
    found, called = linear_sum_assignment(shared_KK, maximize=True)
    names = dict(zip(np.unique(labels_M)[found], np.unique(names_M)[called], strict=True))
    return np.array([names[label] for label in labels_M], dtype=object)


def contrast(gap_MM: np.ndarray, labels_M: np.ndarray) -> tuple[float, float]:
    """Mean gap of pairs in one cluster, and of pairs across; NaN where there is no such pair."""
    upper = np.triu_indices(len(gap_MM), 1)
    together_P = (labels_M[:, None] == labels_M)[upper]
    gap_P = gap_MM[upper]
    within, across = gap_P[together_P], gap_P[~together_P]
    return tuple(float(part.mean()) if len(part) else np.nan for part in (within, across))


def shuffled_contrasts(
    gap_MM: np.ndarray, scale: float, k: int, n_shuffles: int, seed: int
) -> np.ndarray:
    """Gaps across less within clusters where there are none, [n_shuffles].

    Clusters are found anew each time, since the search for them is what parts noise in two. A gap
    is taken as the sum of what is its two networks' own and a rest, and the rests are dealt anew
    among pairs: networks may differ in how far they are from all others, as one that is not trained
    to its end, without being in groups. Rests are widened for the M values fitted; gaps below 0
    become 0.
    """
    n_members = len(gap_MM)
    first_P, second_P = np.triu_indices(n_members, 1)
    own_PM = np.zeros((len(first_P), n_members))
    own_PM[np.arange(len(first_P)), first_P] = own_PM[np.arange(len(first_P)), second_P] = 1
    gap_P = gap_MM[first_P, second_P]
    fitted_P = own_PM @ np.linalg.lstsq(own_PM, gap_P)[0]
    rest_P = (gap_P - fitted_P) * np.sqrt(len(gap_P) / (len(gap_P) - n_members))
    rng = np.random.default_rng(seed)
    contrasts = []
    for _ in range(n_shuffles):
        made_MM = square(np.maximum(fitted_P + rng.permutation(rest_P), 0), n_members)
        labels_M, _ = spectral(affinity(made_MM, scale), k, seed)
        within, across = contrast(made_MM, labels_M)
        contrasts.append(across - within)
    return np.array(contrasts)


def agreement(labels_M: np.ndarray, others: Sequence[np.ndarray]) -> float:
    """Mean adjusted Rand index of clusters with other clusters of the same networks."""
    return float(np.mean([adjusted_rand_score(labels_M, other_M) for other_M in others]))


def stability(
    gap_MM: np.ndarray, gap_RP: np.ndarray, scale: float, k: int, seed: int
) -> tuple[float, float]:
    """`agreement` of the clusters with those of resampled examples, and of other k-means seeds."""
    affinity_MM = affinity(gap_MM, scale)
    labels_M, _ = spectral(affinity_MM, k, seed)
    resampled = [
        spectral(affinity(square(gap_P, len(gap_MM)), scale), k, seed)[0] for gap_P in gap_RP
    ]
    seeds = range(seed + 1, seed + 1 + SEEDS)
    return (
        agreement(labels_M, resampled),
        agreement(labels_M, [spectral(affinity_MM, k, other)[0] for other in seeds]),
    )


def triangle_violations(gap_MM: np.ndarray) -> tuple[int, int]:
    """Triangles in which one gap exceeds the other two together, and how many triangles there are.

    None does if the gap is a distance.
    """
    triples = list(itertools.combinations(range(len(gap_MM)), 3))
    triples_T3 = np.array(triples, dtype=int).reshape(-1, 3)
    i, j, k = triples_T3.T
    sides_T3 = np.stack([gap_MM[i, j], gap_MM[j, k], gap_MM[i, k]], axis=1)
    violated_T = 2 * sides_T3.max(axis=1, initial=0) > sides_T3.sum(axis=1)
    return int(violated_T.sum()), len(triples_T3)


def clustering_coefficient(gap_MM: np.ndarray) -> float:
    """How often two networks that are both connected to a third are connected to each other.

    The transitivity of the graph that joins pairs whose gap is at most the median; about 0.5 if
    being connected is not transitive. NaN if no network is connected to two.
    """
    n_members = len(gap_MM)
    if n_members < 3:
        return np.nan
    joined_MM = gap_MM <= np.median(gap_MM[np.triu_indices(n_members, 1)])
    joined_MM = (joined_MM & ~np.eye(n_members, dtype=bool)).astype(int)
    degree_M = joined_MM.sum(axis=1)
    triads = (degree_M * (degree_M - 1)).sum()
    return float(np.trace(joined_MM @ joined_MM @ joined_MM) / triads) if triads else np.nan
