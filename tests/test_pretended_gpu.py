"""The pretended GPU finds what a real one would."""

import pytest
import torch
from torch import nn

from pretended_gpu import DEVICE


def test_what_is_forgotten_on_the_cpu_is_found(pretended_gpu):
    model, inputs = nn.Linear(3, 2), torch.ones(4, 3)
    expected = model(inputs).detach()
    model.to(DEVICE)
    with pytest.raises(RuntimeError, match="different devices"):
        model(inputs)
    said = model(inputs.to(DEVICE))
    with pytest.raises(RuntimeError, match="different devices"):
        said + inputs[:, :2]
    assert said.device == DEVICE
    assert torch.equal(said.detach().cpu(), expected)


def test_numbers_and_places_may_be_on_the_cpu(pretended_gpu):
    there, places = torch.arange(6.0).to(DEVICE), torch.tensor([4, 1])
    assert (there[places] * torch.tensor(2.0)).cpu().tolist() == [8, 2]
    assert there[[4, 1]].cpu().tolist() == [4, 1]
    with pytest.raises(RuntimeError, match="different devices"):
        torch.arange(6)[places.to(DEVICE)]
