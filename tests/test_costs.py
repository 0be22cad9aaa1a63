import argparse
import importlib.util
from pathlib import Path

import pandas as pd
import pytest
from torch import nn

from dissent.classifiers import Card, Preprocessing, build, save_checkpoint
from dissent.costs import cost

PATH = Path("workflow/scripts/finetuned/count_costs.py")
SPEC = importlib.util.spec_from_file_location(PATH.stem, PATH)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


def card(architecture: str, size: int, channels: int = 3, classes: int = 1000) -> Card:
    return Card(
        architecture=architecture,
        options={},
        classes=[str(i) for i in range(classes)],
        preprocessing=Preprocessing(size=size, mean=[0.5] * channels, std=[0.5] * channels),
        zero_shot={},
    )


def test_a_small_network_is_counted_as_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, kernel_size=3, padding=1, groups=4),
        nn.Flatten(),
        nn.Linear(8 * 5 * 5, 7),
    )
    counted = cost(model, card("none", 10))
    # Each of 5 x 5 outputs of a channel takes a product for every weight it depends on.
    assert counted.multiply_adds == 25 * 8 * 3 * 9 + 25 * 8 * 2 * 9 + 8 * 25 * 7
    assert counted.parameters == (8 * 3 * 9 + 8) + 2 * 8 + (8 * 2 * 9 + 8) + (200 * 7 + 7)


def test_attention_is_counted():
    size, patch, width, depth, hidden, classes = 96, 16, 64, 6, 3 * 64, 10
    counted = cost(*classifier("test_vit", size, classes))
    patches = (size // patch) ** 2
    tokens = patches + 1
    weights = width * 3 * width + width * width + 2 * width * hidden
    block = tokens * weights + 2 * tokens * tokens * width
    assert counted.multiply_adds == patches * 3 * patch**2 * width + depth * block + width * classes


@pytest.mark.parametrize(
    ("architecture", "published_billions", "published_millions"),
    # He et al., arXiv 1512.03385, table 1 (rounded there); parameters as timm's results tables.
    [("resnet18", 1.8, 11.69), ("resnet50", 4.1, 25.56)],
)
def test_resnets_cost_what_is_published(architecture, published_billions, published_millions):
    counted = cost(*classifier(architecture, 224, 1000))
    assert counted.multiply_adds / 1e9 == pytest.approx(published_billions, abs=0.05)
    assert counted.parameters / 1e6 == pytest.approx(published_millions, abs=0.005)


def test_the_table_has_a_row_for_each_checkpoint(tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in ("b.tagged", "a")]
    small, large = card("test_resnet", 32, channels=1), card("test_resnet", 64, channels=1)
    for path, of in zip(paths, (small, large), strict=True):
        save_checkpoint(path, build(of), of)
    script.main(argparse.Namespace(checkpoints=paths, output=tmp_path / "costs.csv"))
    table = pd.read_csv(tmp_path / "costs.csv")
    assert list(table.columns) == ["model", "multiply_adds", "parameters"]
    assert list(table["model"]) == ["b.tagged", "a"]
    assert table["parameters"].nunique() == 1
    # Four times the pixels are four times the convolutions.
    assert table["multiply_adds"][1] == pytest.approx(4 * table["multiply_adds"][0], rel=0.1)


def classifier(architecture: str, size: int, classes: int) -> tuple[nn.Module, Card]:
    of = card(architecture, size, classes=classes)
    if architecture.startswith("test_vit"):
        of["options"] = {"img_size": size}
    return build(of), of
