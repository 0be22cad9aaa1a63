import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dissent.commandline import InputError
from dissent.weight_averages import add_to_mean, check_fits, copy_of


def network(seed, width=3):
    """Weights, running statistics, and a counter of batches."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 2, 1))
    for _ in range(seed):
        model(torch.randn(4, 1, 5, 5))
    return model


def mean_of(models):
    mean = None
    for count, model in enumerate(models, start=1):
        mean = add_to_mean(mean, model.state_dict(), count)
    return mean


def test_the_running_mean_is_the_mean_of_all_weights_and_statistics():
    models = [network(seed) for seed in range(1, 6)]
    mean = mean_of(models)
    kept = [copy_of(model.state_dict()) for model in models]
    assert mean.keys() == kept[0].keys()
    for name in mean.keys() - {"1.num_batches_tracked"}:
        expected = torch.stack([state[name] for state in kept]).mean(dim=0)
        torch.testing.assert_close(mean[name], expected)
    assert mean["1.num_batches_tracked"] == 5


def test_it_agrees_with_the_average_of_torch():
    models = [network(seed) for seed in (1, 2, 3)]
    averaged = AveragedModel(models[0], use_buffers=True)
    for model in models:
        averaged.update_parameters(model)
    mean = mean_of(models)
    for name, expected in averaged.module.state_dict().items():
        if expected.is_floating_point():
            torch.testing.assert_close(mean[name], expected)


def test_what_all_networks_have_in_common_stays_exactly():
    models = [network(3) for _ in range(7)]
    mean = mean_of(models)
    assert all(torch.equal(mean[name], t) for name, t in models[0].state_dict().items())


def test_the_mean_does_not_follow_a_network_that_learns_on():
    model = network(1)
    before = copy_of(model.state_dict())
    mean = mean_of([model])
    with torch.no_grad():
        model[0].weight += 1
    assert torch.equal(mean["0.weight"], before["0.weight"])


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (network(1, width=4), r"'0\.bias' is \(3,\) in one and \(4,\) in another; average"),
        (network(1)[:2], r"'2\.bias' is \(2,\) in one and missing in another; average"),
    ],
)
def test_networks_of_other_shapes_are_refused(other, sentence):
    with pytest.raises(InputError, match=sentence):
        add_to_mean(mean_of([network(1)]), other.state_dict(), 2)
    with pytest.raises(InputError, match="weights of different networks cannot be averaged"):
        check_fits(other.state_dict(), network(1).state_dict())
