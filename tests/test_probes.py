import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss, precision_recall_curve
from sklearn.preprocessing import StandardScaler

from dissent import probes
from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.logits import Key, write_logits


@pytest.fixture(scope="module")
def task():
    """Correlated features of unequal scale: single labels, several labels, and training rows."""
    rng = np.random.default_rng(0)
    hidden_NH = rng.normal(size=(400, 8))
    features_ND = hidden_NH @ rng.normal(size=(8, 14)) + 0.5 * rng.normal(size=(400, 14))
    features_ND = 3 + features_ND * np.geomspace(0.01, 100, 14)
    scores_NC = hidden_NH @ rng.normal(size=(8, 5)) + rng.normal(size=(400, 5))
    return features_ND, scores_NC.argmax(axis=1), (scores_NC > 1).astype(np.uint8), np.arange(250)


@pytest.fixture
def converged(monkeypatch):
    monkeypatch.setattr(probes, "GRADIENT_TOLERANCE", 1e-8)


def test_standardising_is_that_of_scikit_learn(task):
    features_ND, _, _, train_n = task
    oracle_ND = StandardScaler().fit(features_ND[train_n]).transform(features_ND)
    np.testing.assert_allclose(probes.standardise(features_ND, train_n), oracle_ND, atol=1e-9)


def test_a_dimension_constant_in_training_becomes_zero():
    features_ND = np.array([[0.1, 1], [0.1, 2], [0.1, 3], [7, 4]], np.float16)
    standard_ND = probes.standardise(features_ND, np.arange(3))
    np.testing.assert_array_equal(standard_ND[:, 0], 0)
    assert standard_ND[3, 1] == pytest.approx(2 / np.std([1, 2, 3]))


@pytest.mark.parametrize("penalty", [1.0, 0.01, 0.0001])
def test_softmax_probe_is_the_multinomial_regression_of_scikit_learn(task, penalty, converged):
    features_ND, labels_N, _, train_n = task
    features_ND = probes.standardise(features_ND, train_n)
    weights_EC = probes.fit_probe(
        features_ND[train_n], np.eye(5)[labels_N[train_n]], probes.softmax_loss, penalty
    )
    oracle = LogisticRegression(C=1 / (penalty * len(train_n)), tol=1e-8, max_iter=10_000)
    oracle.fit(features_ND[train_n], labels_N[train_n])
    np.testing.assert_allclose(weights_EC[1:].T, oracle.coef_, atol=1e-3)
    scores_NC = probes.probe_scores(features_ND, weights_EC)
    difference_NC = scores_NC - oracle.decision_function(features_ND)
    np.testing.assert_allclose(np.ptp(difference_NC, axis=1), 0, atol=1e-2)


@pytest.mark.parametrize("penalty", [1.0, 0.001])
def test_one_vs_rest_probe_is_one_regression_of_scikit_learn_per_class(task, penalty, converged):
    features_ND, _, labels_NC, train_n = task
    features_ND = probes.standardise(features_ND, train_n)
    start_EC = np.random.default_rng(0).normal(size=(15, 5))
    weights_EC = probes.fit_probe(
        features_ND[train_n], labels_NC[train_n], probes.one_vs_rest_loss, penalty, start_EC
    )
    for c in range(5):
        oracle = LogisticRegression(C=1 / (penalty * len(train_n)), tol=1e-8, max_iter=10_000)
        oracle.fit(features_ND[train_n], labels_NC[train_n, c])
        np.testing.assert_allclose(weights_EC[1:, c], oracle.coef_[0], atol=1e-3)
        np.testing.assert_allclose(weights_EC[0, c], oracle.intercept_[0], atol=1e-3)


def test_the_penalty_is_the_best_of_all_on_tune(task):
    features_ND, labels_N, _, train_n = task
    features_ND = probes.standardise(features_ND, train_n)
    targets_NC, tune_n = np.eye(5)[labels_N], np.arange(250, 400)

    def tuned(quality):
        return probes.tuned_probe(
            features_ND[train_n],
            targets_NC[train_n],
            features_ND[tune_n],
            targets_NC[tune_n],
            probes.softmax_loss,
            quality,
        )

    accuracies, losses = {}, {}
    for candidate in probes.PENALTIES:
        oracle = LogisticRegression(C=1 / (candidate * len(train_n)), tol=1e-8, max_iter=10_000)
        oracle.fit(features_ND[train_n], labels_N[train_n])
        accuracies[candidate] = oracle.score(features_ND[tune_n], labels_N[tune_n])
        losses[candidate] = log_loss(labels_N[tune_n], oracle.predict_proba(features_ND[tune_n]))
    penalty, weights_EC = tuned(lambda *given: -probes.softmax_loss(*given)[0])
    assert penalty == min(losses, key=losses.get)
    tune_loss, _ = probes.softmax_loss(
        probes.probe_scores(features_ND[tune_n], weights_EC), targets_NC[tune_n]
    )
    assert tune_loss == pytest.approx(losses[penalty], rel=0.01)

    def accuracy(scores_NC, targets_NC):
        return (scores_NC.argmax(axis=1) == targets_NC.argmax(axis=1)).mean()

    assert tuned(accuracy)[0] == max(accuracies, key=accuracies.get)
    assert tuned(lambda *_: 1.0)[0] == max(probes.PENALTIES)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 100), st.integers(0, 9))
def test_a_mix_has_its_share_of_both_and_is_no_wider_than_the_base(n_base, n_other, share, seed):
    def mix(share):
        rng = np.random.default_rng(seed)
        return probes.mixed_dimensions(n_base, n_other, share, rng).tolist()

    chosen = mix(share)
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(n_base + n_other))
    from_base = sum(dimension < n_base for dimension in chosen)
    assert len(chosen) <= n_base
    # In whole numbers: 50 * (1 - 78 / 100) is not quite 11.
    assert 0 <= n_base * (100 - share) - 100 * from_base < 100
    assert 0 <= min(n_base, n_other) * share - 100 * (len(chosen) - from_base) < 100
    assert mix(0) == list(range(n_base))
    of_other = {dimension for dimension in chosen if dimension >= n_base}
    assert of_other <= set(mix(100))


def test_dimensions_are_ranked_by_mean_absolute_correlation_with_the_other_embedding():
    rng = np.random.default_rng(0)
    base_ND, other_ND = rng.normal(size=(50, 4)), rng.normal(size=(50, 6))
    other_ND[:, :2] += 2 * base_ND[:, :2]
    base_ND[:, 3] = 5.0
    everyone = np.arange(50)
    order = probes.rank_by_diversity(
        probes.standardise(base_ND, everyone), probes.standardise(other_ND, everyone)
    )
    varying = [0, 1, 2]
    mean = {
        i: np.mean([abs(np.corrcoef(base_ND[:, i], other_ND[:, j])[0, 1]) for j in range(6)])
        for i in varying
    }
    # The constant dimension correlates with nothing, and counts as 0 in the means of the others.
    mean |= {
        4 + j: np.sum([abs(np.corrcoef(base_ND[:, i], other_ND[:, j])[0, 1]) for i in varying]) / 4
        for j in range(6)
    }
    assert order.tolist() == [*sorted(mean, key=mean.get), 3]


def eleven_points(labels_N, scores_N):
    """By the definition, from the precision-recall curve of scikit-learn."""
    precision, recall, _ = precision_recall_curve(labels_N, scores_N)
    precision, recall = precision[:-1], recall[:-1]  # it adds a point (1, 0) that is no threshold
    return np.mean([precision[recall >= k / 10 - 1e-12].max() for k in range(11)])


scored_labels = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.uint8, n, elements=st.integers(0, 1)),
        arrays(np.float64, n, elements=st.integers(0, 12)),
        arrays(np.int16, (n, 3), elements=st.integers(0, 3)),
    )
)


@given(scored_labels)
def test_average_precision_by_its_definition_with_ties_and_resamples(case):
    labels_N, scores_N, counts_NR = case
    found_R = probes.eleven_point_average_precision(labels_N, scores_N, counts_NR)
    for counts_N, found in zip(counts_NR.T, found_R, strict=True):
        repeated_labels, repeated_scores = (np.repeat(a, counts_N) for a in (labels_N, scores_N))
        if repeated_labels.any():
            assert found == pytest.approx(eleven_points(repeated_labels, repeated_scores))
        else:
            assert np.isnan(found)


def test_average_precision_orders_scorers_as_the_area_does():
    rng = np.random.default_rng(0)
    labels_N = rng.integers(0, 2, 500)
    noises = np.geomspace(0.1, 10, 12)
    scorers = [labels_N + noise * rng.normal(size=500) for noise in noises]
    once = np.ones((500, 1), np.int16)
    ours = [probes.eleven_point_average_precision(labels_N, s, once)[0] for s in scorers]
    areas = [average_precision_score(labels_N, s) for s in scorers]
    assert spearmanr(ours, areas).statistic > 0.97
    np.testing.assert_allclose(ours, areas, atol=0.05)


def test_mean_average_precision_leaves_out_classes_without_an_example():
    rng = np.random.default_rng(0)
    labels_NC, scores_NC = rng.integers(0, 2, (30, 3)), rng.normal(size=(30, 3))
    labels_NC[:, 1] = 0
    once = np.ones((30, 1), np.int16)
    expected = np.mean([eleven_points(labels_NC[:, c], scores_NC[:, c]) for c in (0, 2)])
    assert probes.mean_average_precision(labels_NC, scores_NC, once)[0] == pytest.approx(expected)


def test_resampled_counts_begin_with_the_sample_and_keep_its_size():
    counts_NR = probes.resampled_counts(200, 500, np.random.default_rng(0))
    assert counts_NR.shape == (200, 501)
    np.testing.assert_array_equal(counts_NR[:, 0], 1)
    np.testing.assert_array_equal(counts_NR.sum(axis=0), 200)
    # An example is missing from a resample with probability (1 - 1 / n)^n.
    assert (counts_NR[:, 1:] == 0).mean() == pytest.approx((1 - 1 / 200) ** 200, abs=0.005)


@pytest.fixture
def examples():
    ids = tuple("abcd")
    splits_N = np.array(["train", "train", "train", "report"])
    labels_N = np.array([0, 1, 0, 1])
    return Examples("tiny", ids, np.zeros((4, 2, 2), np.uint8), labels_N, splits_N, ("x", "y"))


def key(examples):
    hashes = examples.ids_sha256, examples.content_sha256
    return Key("0", {}, *hashes, ["x", "y"], "features", "float16", {})


def write(path, features_ND, examples):
    write_logits(path, key(examples), features_ND)
    return path


def test_features_are_read_and_standardised_on_the_training_split(tmp_path, examples):
    features_ND = np.array([[1.0, 2.0], [2.0, 2.5], [3.0, 4.0], [9.0, 9.0]])
    path = write(tmp_path / "m.safetensors", features_ND, examples)
    oracle_ND = StandardScaler().fit(features_ND[:3]).transform(features_ND)
    read_ND = probes.read_features(path, examples, "train")
    assert read_ND.dtype == np.float64
    np.testing.assert_allclose(read_ND, oracle_ND)


def test_features_that_cannot_be_probed_are_refused(tmp_path, examples):
    path = write(tmp_path / "m.safetensors", np.full((4, 2), np.nan), examples)
    with pytest.raises(InputError, match="no finite numbers"):
        probes.read_features(path, examples, "train")
    path = write(tmp_path / "m.safetensors", np.ones((4, 2)), replace(examples, ids=tuple("abdc")))
    with pytest.raises(InputError, match="another order"):
        probes.read_features(path, examples, "train")
    path = write(tmp_path / "m.safetensors", np.ones((4, 2)), replace(examples, labels=np.ones(4)))
    with pytest.raises(InputError, match="other images or labels"):
        probes.read_features(path, examples, "train")
    path = write(tmp_path / "m.safetensors", np.ones((4, 2)), examples)
    with pytest.raises(InputError, match="has no split 'tune'"):
        probes.read_features(path, examples, "tune")
    header = {"key": json.dumps(asdict(key(examples)))}
    save_file({"predicted": np.zeros(4, np.int32)}, path, header)
    with pytest.raises(InputError, match="no features"):
        probes.read_features(path, examples, "train")
