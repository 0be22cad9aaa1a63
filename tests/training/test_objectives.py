import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dissent.training import objectives


@pytest.fixture
def views():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 6, 5, generator=generator, dtype=torch.float64)


def looped_contrastive(first, second, labels, temperature):
    """The loss written as in the paper: one anchor, one positive at a time."""
    views = [v / v.norm() for v in (*first, *second)]
    labels = [*labels, *labels]
    losses = []
    for i, anchor in enumerate(views):
        others = [j for j in range(len(views)) if j != i]
        total = sum(torch.exp(anchor @ views[j] / temperature) for j in others)
        positives = [j for j in others if labels[j] == labels[i]]
        terms = [torch.log(torch.exp(anchor @ views[p] / temperature) / total) for p in positives]
        losses.append(-sum(terms) / len(positives))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4, 5], [0, 0, 1, 1, 1, 2]])
def test_supervised_contrastive_equals_the_loop(views, labels):
    found = objectives.supervised_contrastive(*views, torch.tensor(labels), temperature=0.3)
    torch.testing.assert_close(found, looped_contrastive(*views, labels, 0.3))


def test_nt_xent_is_cross_entropy_of_finding_the_partner(views):
    both = F.normalize(torch.cat([*views]), dim=1)
    similarity = both @ both.T / 0.5
    similarity.fill_diagonal_(-torch.inf)
    partner = torch.arange(12).roll(6)
    torch.testing.assert_close(
        objectives.nt_xent(*views, temperature=0.5), F.cross_entropy(similarity, partner)
    )


def test_barlow_twins_compares_numpy_correlations_with_the_identity(views):
    first, second = views.numpy()
    correlation = np.corrcoef(first.T, second.T)[:5, 5:] * 5 / 6  # the loss divides by n, not n - 1
    expected = ((1 - np.diag(correlation)) ** 2).sum() + 0.1 * (
        (correlation - np.diag(np.diag(correlation))) ** 2
    ).sum()
    found = objectives.barlow_twins(*views, off_diagonal_weight=0.1)
    assert found.item() == pytest.approx(expected, rel=1e-3)


def test_image_text_is_symmetric_and_least_for_matching_pairs(views):
    first, second = views
    loss = objectives.image_text(first, second, scale=5.0)
    torch.testing.assert_close(loss, objectives.image_text(second, first, scale=5.0))
    assert objectives.image_text(first, first, scale=5.0) < loss
