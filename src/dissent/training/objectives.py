"""Losses of the training frameworks, as functions of embeddings."""

import torch
from torch.nn import functional as F


def nt_xent(first_NE: torch.Tensor, second_NE: torch.Tensor, temperature: float) -> torch.Tensor:
    """SimCLR's loss: each view must find its partner among all other views (arXiv 2002.05709)."""
    labels_N = torch.arange(len(first_NE))
    return supervised_contrastive(first_NE, second_NE, labels_N, temperature)


def supervised_contrastive(
    first_NE: torch.Tensor, second_NE: torch.Tensor, labels_N: torch.Tensor, temperature: float
) -> torch.Tensor:
    """SupCon: each view must find all views of its label (arXiv 2004.11362, L_out)."""
    views = F.normalize(torch.cat([first_NE, second_NE]), dim=1)
    labels = torch.cat([labels_N, labels_N])
    itself = torch.eye(len(views), dtype=torch.bool)
    similarity = (views @ views.T / temperature).masked_fill(itself, -torch.inf)
    log_share = similarity.log_softmax(dim=1).masked_fill(itself, 0)
    positives = (labels[:, None] == labels) & ~itself
    return -((log_share * positives).sum(dim=1) / positives.sum(dim=1)).mean()


def barlow_twins(
    first_NE: torch.Tensor, second_NE: torch.Tensor, off_diagonal_weight: float = 0.02
) -> torch.Tensor:
    """Barlow Twins: the views' cross-correlation matrix should be the identity (2103.03230)."""
    first, second = (
        (view - view.mean(dim=0)) / (view.std(dim=0) + 1e-4) for view in (first_NE, second_NE)
    )
    correlation_EE = first.T @ second / len(first)
    on_diagonal = (1 - correlation_EE.diagonal()).square().sum()
    off_diagonal = correlation_EE.square().sum() - correlation_EE.diagonal().square().sum()
    return on_diagonal + off_diagonal_weight * off_diagonal


def image_text(image_NE: torch.Tensor, text_NE: torch.Tensor, scale: float) -> torch.Tensor:
    """CLIP's symmetric cross-entropy over a batch of image-caption pairs (arXiv 2103.00020)."""
    logits_NN = scale * F.normalize(image_NE, dim=1) @ F.normalize(text_NE, dim=1).T
    targets_N = torch.arange(len(logits_NN))
    return (F.cross_entropy(logits_NN, targets_N) + F.cross_entropy(logits_NN.T, targets_N)) / 2
