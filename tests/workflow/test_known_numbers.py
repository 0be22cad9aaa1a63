"""The `published` run, from its addresses to its figures, against numbers known from elsewhere."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import TOOLS, copy_project, run
from dissent import ensembles, pairwise
from dissent.calibration import expected_calibration_error
from dissent.examples import read_examples
from dissent.logits import open_predictions

IMAGENET = {
    ("resnet50", "vit"): (0.15484, 0.5622),
    ("resnet50", "simclr"): (0.17360, 0.5716),
    ("resnet50", "dino"): (0.13936, 0.6131),
    ("vit", "simclr"): (0.20544, 0.4843),
    ("vit", "dino"): (0.15176, 0.5666),
    ("simclr", "dino"): (0.17844, 0.5571),
}
CROSS_VALIDATED = {"resnet50": 0.17010, "vit": 0.20014, "simclr": 0.20202, "dino": 0.18918}
# Of 435 pairs: mean, least and most.
CIFAR10 = {
    "cifar10": (0.080777, 0.0194, 0.1670),
    "cifar10.1-v4": (0.145537, 0.0465, 0.2791),
    "cifar10.1-v6": (0.142709, 0.0445, 0.2730),
}


@pytest.fixture(scope="session")
def results(mirror, tmp_path_factory) -> Path:
    folder = copy_project(tmp_path_factory.mktemp("published"))
    config = folder / "config/published.yaml"
    published = yaml.safe_load(config.read_text())
    # Which would take minutes, and has no known numbers.
    del published["linear_connectivity"]["text"]
    config.write_text(yaml.safe_dump(published))
    command = (TOOLS / "snakemake", "figures", "--configfile", "config/published.yaml")
    run(folder, *command, "--cores", "2", DISSENT_MIRROR=str(mirror))
    return folder / "results/published"


def models(results: Path, data: str) -> pd.DataFrame:
    return pd.read_csv(results / "metrics" / data / "models.csv", index_col="model")


def pairs(results: Path, data: str) -> pd.DataFrame:
    return pd.read_csv(results / "metrics" / data / "pairs.csv", index_col=["model1", "model2"])


def on_all_examples(results: Path, data: str):
    """What models say of a data set on all its examples, tune and report together."""
    examples = read_examples(results / "data" / f"{data}.safetensors")
    files = sorted((results / "logits" / data).glob("*.safetensors"))
    return examples.labels, open_predictions(files, examples)


def test_imagenet_accuracy(results):
    found = models(results, "imagenet")["accuracy"]
    known = {"resnet50": 0.7613, "vit": 0.7801, "simclr": 0.6814, "dino": 0.7675}
    for model, accuracy in known.items():
        assert found[model] == pytest.approx(accuracy, abs=5e-5), model
    assert found["cleanlab-cross-validated"] == pytest.approx(0.7273, abs=5e-5)


def test_imagenet_pairs(results):
    found = pairs(results, "imagenet")
    for pair, (inconsistency, kappa) in IMAGENET.items():
        assert found.loc[pair, "error_inconsistency"] == pytest.approx(inconsistency, abs=1e-9)
        assert found.loc[pair, "error_consistency"] == pytest.approx(kappa, abs=5e-5)
    for model, inconsistency in CROSS_VALIDATED.items():
        pair = (model, "cleanlab-cross-validated")
        assert found.loc[pair, "error_inconsistency"] == pytest.approx(inconsistency, abs=1e-9)


def test_most_confident_wins_is_all_that_imagenet_allows(results):
    found = pairs(results, "imagenet")
    assert set(found.loc[list(IMAGENET), "left_out"]) == {"mean_probability mean_logit"}
    assert found.loc[list(IMAGENET), "most_confident_ensemble_accuracy"].notna().all()
    assert found["most_confident_ensemble_accuracy"].notna().sum() == len(IMAGENET)


def test_real_labels(results):
    table = models(results, "imagenet-real")
    assert set(table["n"]) == {46837}
    assert table.loc["resnet50", "accuracy"] == pytest.approx(0.8296, abs=5e-5)


@pytest.mark.parametrize("data", CIFAR10)
def test_inconsistency_under_shift(results, data):
    table = pairs(results, data)
    softmax = ~table.index.to_frame().isin(["lenet-5-cifar10", "wideresnet-16-4-cifar10"])
    found = table.loc[softmax.all(axis=1), "error_inconsistency"]
    mean, least, most = CIFAR10[data]
    assert len(found) == 435
    assert found.mean() == pytest.approx(mean, abs=5e-7)
    assert (found.min(), found.max()) == pytest.approx((least, most), abs=5e-5)


def test_cifar100_on_all_examples(results):
    labels_N, predictions = on_all_examples(results, "cifar100")
    names = list(predictions)
    assert names == ["densenet-bc-100-cifar100", "lenet-5-cifar100", "wideresnet-16-4-cifar100"]
    predicted_MN = np.stack([logits["predicted"] for logits in predictions.values()])
    scores = [logits["logits"] for logits in predictions.values()]
    assert (predicted_MN == labels_N).mean(axis=1) == pytest.approx([0.7541, 0.1246, 0.7543])
    counts_P22 = pairwise.pair_counts(predicted_MN == labels_N)
    assert pairwise.error_inconsistency(counts_P22)[1] == pytest.approx(0.1766)
    counts = ensembles.ensemble_counts(
        scores, predicted_MN, labels_N, [1, 1, 1], "mean_probability"
    )
    # DenseNet with LeNet and with WRN, LeNet with WRN.
    assert ensembles.ensemble_accuracy(counts) == pytest.approx([0.7542, 0.7842, 0.7531])
    errors = [expected_calibration_error(array, labels_N) for array in scores]
    assert sorted(errors) == pytest.approx([0.0149, 0.0581, 0.1422], abs=5e-5)


def test_cifar10_with_probabilities(results):
    labels_N, predictions = on_all_examples(results, "cifar10")
    pair = [predictions[name] for name in ("lenet-5-cifar10", "wideresnet-16-4-cifar10")]
    predicted_2N = np.stack([logits["predicted"] for logits in pair])
    assert (predicted_2N == labels_N).mean(axis=1) == pytest.approx([0.5308, 0.9109])
    counts = ensembles.ensemble_counts(
        [logits["logits"] for logits in pair], predicted_2N, labels_N, [1, 1], "mean_probability"
    )
    assert pairwise.error_inconsistency(counts.sum(axis=-1)) == pytest.approx(0.4253)
    assert ensembles.ensemble_accuracy(counts) == pytest.approx(0.9072)


def test_berts(results):
    folder = results / "metrics/linear_connectivity"
    agreement = pd.read_csv(folder / "agreement.csv", index_col="measure")["value"]
    assert agreement["mean_accuracy"] == pytest.approx(0.8433928, abs=5e-8)
    assert agreement["error_inconsistency"] == pytest.approx(0.0627554, abs=5e-8)
    assert agreement["majority_vote"] == pytest.approx(0.8512481, abs=5e-8)


def test_bert_on_hans(results):
    table = pd.read_csv(results / "metrics/linear_connectivity/groups.csv")
    bert = table[table["model"] == "bert"].set_index("group")["accuracy"].round(3)
    assert bert.to_dict() == {
        "lexical overlap, entailment": 0.946,
        "lexical overlap, non-entailment": 0.164,
        "subsequence, entailment": 0.993,
        "subsequence, non-entailment": 0.039,
        "constituent, entailment": 0.984,
        "constituent, non-entailment": 0.161,
    }


def test_clusters(results):
    folder = results / "metrics/linear_connectivity"
    table = pd.read_csv(folder / "cluster_differences.csv", index_col="measure")
    row = table.loc["lexical overlap, non-entailment"]
    assert (row["small_n"], row["large_n"]) == (12, 88)
    assert (row["small_mean"], row["large_mean"]) == pytest.approx((0.096, 0.301), abs=5e-4)


def test_soups(results):
    table = pd.read_csv(results / "metrics/very_large_dropout/soups.csv")
    best = table.groupby("kind")["ImageNet"].max()
    assert best.to_dict() == pytest.approx(
        {"individual": 0.80386, "uniform soup": 0.79972, "greedy soup": 0.81026}
    )
    assert (table["kind"] == "individual").sum() == 72
