import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score

from dissent import basins

gap_matrices = st.integers(3, 7).flatmap(
    lambda n: arrays(float, n * (n - 1) // 2, elements=st.floats(0, 1)).map(
        lambda gaps: basins.square(gaps, n)
    )
)


def blocks(sizes, within=0.01, across=0.06, noise=0.003, seed=0):
    rng = np.random.default_rng(seed)
    of_block = np.repeat(np.arange(len(sizes)), sizes)
    first, second = np.triu_indices(len(of_block), 1)
    gaps = np.where(of_block[first] == of_block[second], within, across)
    return basins.square(np.abs(gaps + rng.normal(0, noise, len(gaps))), len(of_block)), of_block


def test_a_matrix_has_pairs_in_the_order_of_combinations():
    pairs = list(itertools.combinations(range(5), 2))
    matrix = basins.square(np.arange(1.0, 11), 5)
    for value, (i, j) in enumerate(pairs, start=1):
        assert matrix[i, j] == matrix[j, i] == value
    assert not np.diag(matrix).any()


@pytest.mark.parametrize(("sizes", "k"), [((4, 4), 2), ((6, 2), 2), ((5, 4, 3), 3)])
@pytest.mark.parametrize("scale", [1.0, 0.03])
def test_clusters_are_those_of_scikit_learn_and_the_blocks(sizes, k, scale):
    gap_MM, of_block = blocks(sizes)
    affinity_MM = basins.affinity(gap_MM, scale)
    np.testing.assert_allclose(affinity_MM[0, 1], np.exp(-(gap_MM[0, 1] ** 2) / 2 / scale**2))
    found_M, eigenvalues_M = basins.spectral(affinity_MM, k, seed=0)
    theirs = SpectralClustering(k, affinity="precomputed", random_state=0).fit(affinity_MM)
    assert adjusted_rand_score(found_M, theirs.labels_) == 1
    assert adjusted_rand_score(found_M, of_block) == 1
    # The eigenvalues of I - D^-1/2 W D^-1/2 are those of I - D^-1 W.
    weights_MM = affinity_MM - np.eye(len(gap_MM))
    of_walk = np.linalg.eigvals(np.eye(len(gap_MM)) - weights_MM / weights_MM.sum(1)[:, None])
    np.testing.assert_allclose(eigenvalues_M, np.sort(of_walk.real), atol=1e-9)


@settings(max_examples=20)
@given(st.integers(0, 50), st.integers(2, 3))
def test_k_means_is_as_good_as_scikit_learns(seed, k):
    points = np.random.default_rng(seed).normal(size=(9, 2))
    theirs = KMeans(k, n_init=10, random_state=seed).fit(points)
    labels_M, centres = basins.k_means(points, k, seed)
    assert ((points - centres[labels_M]) ** 2).sum() <= theirs.inertia_ * (1 + 1e-9)
    for label in set(labels_M):
        np.testing.assert_allclose(centres[label], points[labels_M == label].mean(axis=0))
    assert not basins.k_means(np.zeros((4, 2)), k, seed)[0].any()


def test_membership_is_the_difference_of_the_distances_to_the_two_centres():
    gap_MM, of_block = blocks((5, 3), noise=0.01)
    affinity_MM = basins.affinity(gap_MM, 1.0)
    score_M = basins.membership(affinity_MM, of_block == 0, seed=0)
    assert (score_M[of_block == 0] > 0).all()
    assert (score_M[of_block == 1] < 0).all()
    np.testing.assert_allclose(basins.membership(affinity_MM, of_block == 1, seed=0), -score_M)
    embedding, _ = basins.embed(affinity_MM, 2)
    centres = [embedding[of_block == block].mean(axis=0) for block in (0, 1)]
    for score, point in zip(score_M, embedding, strict=True):
        near, far = (np.sqrt(((point - centre) ** 2).sum()) for centre in centres)
        assert score == pytest.approx(far - near, abs=1e-9)


def test_clusters_are_named_by_size_then_accuracy_then_order():
    unknown = np.full(6, np.nan)
    assert [*basins.by_size(np.array([1, 0, 0, 2, 0, 1]), unknown)] == (
        ["small", "large", "large", "cluster 3", "large", "small"]
    )
    tied = np.array([0, 0, 0, 1, 1, 1])
    assert basins.by_size(tied, np.arange(6.0))[0] == "small"
    assert basins.by_size(tied, -np.arange(6.0))[0] == "large"
    assert basins.by_size(1 - tied, unknown)[0] == "large"


@given(st.permutations([0, 0, 0, 1, 1]), st.permutations(["large"] * 3 + ["small"] * 2))
def test_most_keep_their_names(labels, names):
    names = np.array(names, dtype=object)
    found = basins.as_named(np.array(labels), names)
    ways = [("large", "small"), ("small", "large")]
    kept = [sum(np.array(way)[labels] == names) for way in ways]
    assert sum(found == names) == max(kept)
    assert len(set(zip(labels, found, strict=True))) == 2


@given(gap_matrices, st.randoms())
def test_contrast_is_of_pairs_within_and_across(gap_MM, random):
    labels_M = np.array([random.randrange(2) for _ in gap_MM])
    pairs = itertools.combinations(range(len(gap_MM)), 2)
    parts = {True: [], False: []}
    for i, j in pairs:
        parts[labels_M[i] == labels_M[j]].append(gap_MM[i, j])
    for found, gaps in zip(basins.contrast(gap_MM, labels_M), parts.values(), strict=True):
        assert found == pytest.approx(np.mean(gaps)) if gaps else np.isnan(found)


def contrast_and_chance(gap_MM, n_shuffles=39):
    found_M, _ = basins.spectral(basins.affinity(gap_MM, 1.0), 2, seed=0)
    within, across = basins.contrast(gap_MM, found_M)
    return across - within, basins.shuffled_contrasts(gap_MM, 1.0, 2, n_shuffles, seed=0)


def test_blocks_are_further_apart_than_chance_and_noise_is_not():
    observed, chance = contrast_and_chance(blocks((4, 4))[0])
    assert observed > chance.max()
    # Clusters of noise are apart too: what they are compared with has to be as much.
    extremes = 0
    for seed in range(4):
        observed, chance = contrast_and_chance(blocks((8,), noise=0.01, seed=seed)[0], 19)
        assert observed > 0
        extremes += observed > chance.max()
    assert extremes <= 1


def test_one_network_far_from_all_others_is_no_cluster():
    rng = np.random.default_rng(0)
    first, second = np.triu_indices(8, 1)
    gaps = 0.01 + 0.1 * ((first == 0) | (second == 0)) + rng.normal(0, 0.002, len(first))
    observed, chance = contrast_and_chance(basins.square(gaps, 8))
    assert observed > 0.08
    assert np.median(chance) == pytest.approx(observed, rel=0.1)


def test_stability_is_whole_for_clear_blocks_alone():
    gap_MM, _ = blocks((4, 4))
    upper = np.triu_indices(8, 1)
    rng = np.random.default_rng(0)
    nearby = gap_MM[upper] + rng.normal(0, 0.002, (6, 28))
    assert basins.stability(gap_MM, np.abs(nearby), 1.0, 2, seed=0) == (1, 1)
    elsewhere, _ = basins.stability(gap_MM, rng.random((6, 28)), 1.0, 2, seed=0)
    assert elsewhere < 0.8


@given(gap_matrices)
def test_triangles_and_transitivity_by_loops(gap_MM):
    n = len(gap_MM)
    violations, count = basins.triangle_violations(gap_MM)
    triangles = list(itertools.combinations(range(n), 3))
    assert count == len(triangles)
    assert violations == sum(
        any(
            2 * gap_MM[i, j] > gap_MM[i, j] + (gap_MM[j, k] + gap_MM[i, k])
            for i, j, k in ((a, b, c), (b, c, a), (a, c, b))
        )
        for a, b, c in triangles
    )
    median = np.median([gap_MM[i, j] for i, j in itertools.combinations(range(n), 2)])
    closed = open_too = 0
    for middle in range(n):
        others = [i for i in range(n) if i != middle and gap_MM[i, middle] <= median]
        for i, j in itertools.combinations(others, 2):
            open_too += 1
            closed += gap_MM[i, j] <= median
    found = basins.clustering_coefficient(gap_MM)
    assert found == pytest.approx(closed / open_too) if open_too else np.isnan(found)


def test_distances_violate_no_triangle():
    points = np.random.default_rng(0).normal(size=(8, 3))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    assert basins.triangle_violations(distances) == (0, 56)
    assert basins.triangle_violations(np.zeros((2, 2))) == (0, 0)
    assert np.isnan(basins.clustering_coefficient(np.zeros((2, 2))))
