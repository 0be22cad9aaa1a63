"""Accuracies on the way from a pre-trained network to a fine-tuned one."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score
from torch import nn

from dissent import domain_images
from dissent.classifiers import (
    Card,
    Preprocessing,
    build,
    head,
    load_checkpoint,
    predict,
    prepare,
    save_checkpoint,
)
from dissent.domains import leave_out
from dissent.dropout_training import start_of, with_images
from dissent.dropout_versions import Task
from dissent.interpolation import (
    accuracies,
    along_representations,
    along_weights,
    fine_tune,
    interpolate,
)
from dissent.training.recipes import fit_linear_head
from dissent.weight_averages import copy_of

SETTINGS = {
    "mild": {"learning_rate": 0.0005, "steps": 3},
    "long": {"learning_rate": 0.005, "steps": 9},
    "points": 3,
    "weight_decay": 0.0001,
    "batch_size": 4,
    "images": 20,
    "momentum": 0.9,
    "decays": [0.5],
    "augmentation": "light",
}
HELD_OUT = "sketched"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def examples():
    return domain_images.domains(0, 32, {"train": 24, "tune": 10, "report": 12})


@pytest.fixture(scope="module")
def held(examples):
    return leave_out(examples, HELD_OUT)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, examples, held):
    path = tmp_path_factory.mktemp("interpolation") / "start.safetensors"
    torch.manual_seed(0)
    card = Card(
        architecture="resnet14t",
        options={"channels": [4, 4, 8, 16], "stem_width": 4},
        classes=["x", "y"],
        preprocessing=Preprocessing(size=32, mean=[0.5], std=[0.5]),
        zero_shot={},
    )
    model = build(card)
    # Batch normalisation's statistics are those of a network at work, lest features vanish.
    images = examples.images_NHW[held.unseen]
    with torch.no_grad():
        for _ in range(20):
            model.train()(prepare(images, card["preprocessing"]))
    save_checkpoint(path, model, card)
    return path


@pytest.fixture(scope="module")
def table(checkpoint, examples, held):
    return interpolate(checkpoint, examples, held, SETTINGS)


def test_on_a_gpu_it_is_the_same(table, checkpoint, examples, held, pretended_gpu):
    there = interpolate(checkpoint, examples, held, SETTINGS)
    pd.testing.assert_frame_equal(there, table, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def start(checkpoint, examples, held):
    """The network that every way starts at, and the images it learns from."""
    model, card = load_checkpoint(checkpoint)
    model.reset_classifier(len(examples.classes))
    limited = with_images(held, SETTINGS["images"])
    train = np.concatenate([*limited.train.values()])
    fit_linear_head(
        model, examples.images_NHW[train], examples.labels[train], card["preprocessing"]
    )
    return model.to(memory_format=torch.channels_last), limited, card["preprocessing"]


def measured(model, examples, held, preprocessing):
    """Accuracies of a network, domain by domain."""

    def accuracy(positions):
        images = examples.images_NHW[positions]
        logits_NC = torch.cat([logits for _, logits in predict(model, images, preprocessing)])
        return accuracy_score(examples.labels[positions], logits_NC.argmax(dim=1))

    return np.mean([accuracy(positions) for positions in held.report.values()]), accuracy(
        held.unseen
    )


def test_rows_are_fine_tunings_by_paths_by_shares(table, held):
    expected = list(product(["mild", "long"], ["weights", "representations"], [0, 0.5, 1]))
    assert list(zip(table.fine_tuning, table.path, table.share, strict=True)) == expected
    assert list(table.columns) == [
        *("held_out", "fine_tuning", "path", "share", "iid", "ood", "n_iid", "n_ood")
    ]
    assert set(table.held_out) == {HELD_OUT}
    assert set(table.n_iid) == {sum(map(len, held.report.values()))} == {36}
    assert set(table.n_ood) == {len(held.unseen)} == {46}


def test_the_start_is_the_frozen_network_under_a_fitted_head(table, start, examples, held):
    model, _, preprocessing = start
    expected = measured(model, examples, held, preprocessing)
    for row in table[table.share == 0].itertuples():
        assert (row.iid, row.ood) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["mild", "long"])
def test_the_end_is_the_fine_tuned_network(table, start, examples, held, name):
    model, limited, preprocessing = start
    state = copy_of(model.state_dict())
    fine_tune(model, Task(examples, limited, preprocessing, SETTINGS), **SETTINGS[name])
    expected = measured(model, examples, held, preprocessing)
    ended = copy_of(model.state_dict())
    model.load_state_dict(state)
    for row in table[(table.share == 1) & (table.fine_tuning == name)].itertuples():
        assert (row.iid, row.ood) == pytest.approx(expected)
    # Why mixtures of weights need no new statistics of batch normalisation.
    buffers = [key for key, _ in model.named_buffers()]
    assert buffers and all(torch.equal(state[key], ended[key]) for key in buffers)
    weights = [key for key, _ in model.named_parameters()]
    assert not any(torch.equal(state[key], ended[key]) for key in weights)


class Trunk(nn.Module):
    """A network with the parts that timm's have, with features activation(W x + b)."""

    def __init__(self, activation):
        super().__init__()
        self.trunk, self.fc, self.activation = nn.Linear(32 * 32, 6), nn.Linear(6, 10), activation

    def forward_features(self, inputs):
        return self.activation(self.trunk(inputs.flatten(1)))

    def forward_head(self, maps, pre_logits=False):
        return maps if pre_logits else self.fc(maps)

    def forward(self, inputs):
        return self.forward_head(self.forward_features(inputs))

    def get_classifier(self):
        return self.fc


def both_paths(activation, task, *, change=""):
    """Logits [S, N, C] along weights and representations, between two random networks.

    Those with parameters whose names begin with `change` differ.
    """
    torch.manual_seed(0)
    model, other = Trunk(activation), Trunk(activation)
    start = copy_of(model.state_dict())
    end = {
        name: other.state_dict()[name] if name.startswith(change) else weight
        for name, weight in start.items()
    }
    shares = [0, 0.3, 1]
    return [
        np.stack(list(path(model, start, end, shares, task)))
        for path in (along_weights, along_representations)
    ]


@pytest.fixture(scope="module")
def task(examples, held):
    return Task(examples, held, Preprocessing(size=32, mean=[0.5], std=[0.5]), SETTINGS)


def test_paths_agree_where_features_are_linear_in_weights(task):
    weights, representations = both_paths(nn.Identity(), task)
    np.testing.assert_allclose(weights, representations, rtol=1e-4, atol=1e-4)
    assert np.abs(weights[1] - 0.7 * weights[0] - 0.3 * weights[2]).max() > 0.01


def test_paths_agree_where_the_head_alone_differs(task):
    weights, representations = both_paths(nn.ReLU(), task, change="fc")
    np.testing.assert_allclose(weights, representations, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        weights[1], 0.7 * weights[0] + 0.3 * weights[2], rtol=1e-4, atol=1e-4
    )


def test_paths_of_other_networks_meet_at_their_ends_alone(task):
    weights, representations = both_paths(nn.ReLU(), task)
    np.testing.assert_allclose(weights[[0, 2]], representations[[0, 2]], rtol=1e-4, atol=1e-4)
    assert np.abs(weights[1] - representations[1]).max() > 0.01


def test_accuracy_on_seen_domains_is_the_mean_of_theirs(task, examples, held):
    """All right in one of three domains, all wrong in the others, half right in the unseen."""
    labels_N = examples.labels[task.reported]
    sizes = [len(positions) for positions in held.report.values()]
    right_N = np.arange(len(labels_N)) < sizes[0]
    right_N[sum(sizes) : sum(sizes) + len(held.unseen) // 2] = True
    said_N = np.where(right_N, labels_N, (labels_N + 1) % 10)
    assert accuracies(np.eye(10)[said_N], task) == (pytest.approx(1 / 3), 0.5)


def test_what_diverges_is_a_guess_and_told(table, checkpoint, examples, held, caplog):
    long = {"learning_rate": 1e20, "steps": 3}
    other = interpolate(checkpoint, examples, held, SETTINGS | {"long": long})
    diverged = (other.fine_tuning == "long") & (other.share > 0)
    # The first class is guessed, and a tenth of the images are of it, more or less.
    assert (other[diverged][["iid", "ood"]].std() == 0).all()
    assert other[diverged].iid.iloc[0] == pytest.approx(0.1, abs=0.05)
    pd.testing.assert_frame_equal(other[~diverged], table[~diverged])
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "`interpolation.long` diverged with learning rate 1e+20" in warnings[0]


def test_heads_start_fitted_whatever_they_were(checkpoint, examples, start):
    """The head that runs share is replaced by the fitted one: only the network is the same."""
    model, *_ = start
    shared, _ = start_of(checkpoint, HELD_OUT, examples.classes)
    assert not torch.equal(head(shared).weight, head(model).weight)
    assert torch.equal(shared.conv1[0].weight, model.conv1[0].weight)
