"""Small images in three domains, and a small network to fine-tune on them."""

import numpy as np
import torch

from dissent.classifiers import Card, Preprocessing, build, save_checkpoint
from dissent.examples import Examples

CLASSES = ("low", "middle", "high")
DOMAINS = ("paper", "sketch", "photo")
SIZES = {"train": 12, "tune": 9, "report": 9}
CARD = Card(
    architecture="resnet14t",
    options={"channels": [2, 2, 2, 4], "stem_width": 4},
    classes=["a", "b"],
    preprocessing=Preprocessing(size=16, mean=[0.5], std=[0.5]),
    zero_shot={},
)


def small_examples(change=None):
    """Dark to bright noise of 16 x 16 pixels; `change` it before it is made a data set."""
    rng = np.random.default_rng(3)
    n = len(DOMAINS) * sum(SIZES.values())
    labels_N = np.arange(n) % len(CLASSES)
    images = (rng.integers(0, 120, (n, 16, 16)) + 60 * labels_N[:, None, None]).astype(np.uint8)
    groups = tuple(domain for domain in DOMAINS for _ in range(n // len(DOMAINS)))
    if change:
        change(images, labels_N, np.array(groups))
    return Examples(
        name="noise",
        ids=tuple(map(str, range(n))),
        images_NHW=images,
        labels=labels_N,
        splits_N=np.tile(np.repeat(list(SIZES), list(SIZES.values())), len(DOMAINS)),
        classes=CLASSES,
        groups=groups,
    )


def small_checkpoint(path):
    """Random weights, but statistics that are not those that a network begins with."""
    torch.manual_seed(5)
    model = build(CARD)
    model(torch.randn(8, 1, 16, 16))
    save_checkpoint(path, model, CARD)
    return path
