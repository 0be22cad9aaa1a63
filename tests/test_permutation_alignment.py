"""Aligned networks against the function that they were, and orders of channels that are known."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from dissent.commandline import InputError
from dissent.permutation_alignment import align, channels_of, permuted

SMALL = {"channels": [4, 4, 6, 8], "stem_width": 4}
ARCHITECTURES = {
    "resnet14t": SMALL,  # bottlenecks and a deep stem
    "resnet18": {"channels": [4, 4, 6, 8]},  # blocks without a downsampling layer
    "test_resnet": {},
    "test_byobnet": {},  # batch normalisation with an activation in it, squeeze and excitation
    "test_efficientnet": {},  # depthwise convolutions
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def network(architecture, seed=0):
    """Random weights, and statistics that differ from channel to channel."""
    torch.manual_seed(seed)
    model = timm.create_model(
        architecture, in_chans=1, num_classes=3, **ARCHITECTURES.get(architecture, {})
    ).eval()
    for name, tensor in model.state_dict().items():
        if tensor.ndim == 1:
            tensor.copy_(torch.rand(len(tensor)) + 0.5 * ("var" in name))
    return model


INPUTS = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def shuffled(all_channels, state, seed=1):
    """Every set of channels in a random order, and these orders."""
    generator = torch.Generator().manual_seed(seed)
    for channels in all_channels:
        name, axis = channels.weights[0]
        state = permuted(
            state, channels, torch.randperm(state[name].shape[axis], generator=generator)
        )
    return state


@torch.no_grad()
def outputs(architecture, state):
    model = network(architecture)
    model.load_state_dict(state)
    return model(INPUTS)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_channels_in_any_order_compute_the_same(architecture):
    model = network(architecture)
    all_channels = channels_of(model, INPUTS)
    state = model.state_dict()
    moved = shuffled(all_channels, state)
    torch.testing.assert_close(outputs(architecture, moved), outputs(architecture, state))
    # All can be permuted but the image's channel, the classes and counters.
    kept = {name for name, tensor in state.items() if torch.equal(tensor, moved[name])}
    (classifier,) = (n for n, m in model.named_modules() if isinstance(m, nn.Linear))
    assert kept == {f"{classifier}.bias"} | {n for n, t in state.items() if not t.ndim}


@pytest.mark.parametrize("architecture", ["resnet14t", "resnet18", "test_efficientnet"])
def test_a_network_with_its_channels_in_another_order_is_found_again(architecture):
    model = network(architecture)
    all_channels = channels_of(model, INPUTS)
    state = model.state_dict()
    found = align(all_channels, state, shuffled(all_channels, state))
    for name, tensor in state.items():
        assert torch.equal(found[name], tensor), name


def test_networks_apart_come_nearer_and_compute_what_they_did():
    first, second = (network("resnet14t", seed).state_dict() for seed in range(2))
    all_channels = channels_of(network("resnet14t"), INPUTS)
    found = align(all_channels, first, second)
    torch.testing.assert_close(outputs("resnet14t", found), outputs("resnet14t", second))
    weights = [name for name, _ in network("resnet14t").named_parameters()]

    def squared(state):
        return sum(float(((first[name] - state[name]) ** 2).sum()) for name in weights)

    assert squared(found) < 0.95 * squared(second)
    # No exchange of two channels brings them nearer.
    rng = np.random.default_rng(0)
    for channels in all_channels:
        name, axis = channels.weights[0]
        for _ in range(10):
            n = found[name].shape[axis]
            order = torch.arange(n)
            i, j = rng.choice(n, 2, replace=False)
            order[[i, j]] = order[[j, i]]
            assert squared(permuted(found, channels, order)) >= squared(found) - 1e-4
    again = align(all_channels, first, second)
    assert all(torch.equal(again[name], found[name]) for name in found)


class Grouped(nn.Module):
    def __init__(self, then):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.then = then

    def forward(self, x):
        return self.then(self.first(x))


class Scaled(Grouped):
    def __init__(self):
        super().__init__(nn.Identity())
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x):
        return super().forward(x) * self.scale


class Branching(Grouped):
    def forward(self, x):
        return self.first(x) if x.sum() > 0 else self.then(self.first(x))


class Concatenated(Grouped):
    def forward(self, x):
        return torch.cat([self.first(x), self.then(self.first(x))], dim=1)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (Grouped(nn.Conv2d(4, 4, 3, groups=2)), "Conv2d"),
        (Grouped(nn.GroupNorm(2, 4)), "GroupNorm"),
        (Grouped(nn.Flatten()), "Flatten"),  # of several pixels: other channels
        (Grouped(nn.PixelShuffle(2)), "PixelShuffle"),
        (Concatenated(nn.Identity()), "cat"),
        (Scaled(), "'scale' outside a layer"),
        (Branching(nn.Identity()), "cannot be followed"),
    ],
)
def test_networks_that_cannot_be_aligned(model, why):
    with pytest.raises(InputError, match=rf"cannot be aligned, as .*{why}.*: set `align: false`"):
        channels_of(model.eval(), INPUTS)
