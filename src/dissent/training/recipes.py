"""From a recipe and a seed to a trained classifier.

A recipe is the config's section of that name: see `config/schemas/run.schema.json`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from dissent.classifiers import (
    Card,
    Preprocessing,
    build,
    classify,
    described,
    features,
    head,
    linear_head,
    normalise,
    predict,
    to_pixels,
)
from dissent.commandline import InputError
from dissent.examples import Examples
from dissent.training import frameworks, objectives
from dissent.training.augmentation import augment
from dissent.training.optimise import optimise

Recipe = Mapping[str, Any]
Teacher = tuple[nn.Module, Card]


def train(
    recipe: Recipe, seed: int, data: Mapping[str, Examples], teacher: Teacher | None = None
) -> tuple[nn.Module, Card]:
    """Train one classifier on the `train` splits; the seed sets weights, order and augmentation.

    Pre-training (where the framework has one) sees images without labels. Then come `steps` of
    supervised training; or, with no steps, a linear head on frozen features; or, with no labels,
    nothing, as captions already gave a zero-shot head.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    # A batch's models share its data sets; a model must not depend on those of the others.
    data = {name: data[name] for name in (*recipe["labels_per_class"], *recipe["unlabelled"])}
    one = next(iter(data.values()))
    classes, size = one.classes, one.images_NHW.shape[1]
    zero_shot = recipe["framework"] == "captions"
    patches = small_patches(size) if recipe["architecture"].startswith("test_vit") else {}
    card = Card(
        architecture=recipe["architecture"],
        options=patches | recipe["options"],
        classes=list(classes),
        preprocessing=Preprocessing(size=size, mean=[0.5], std=[0.5]),
        zero_shot={"embedding": frameworks.EMBEDDING, "scale": frameworks.ZERO_SHOT_SCALE}
        if zero_shot
        else {},
    )
    model = build(card, recipe["drop_rate"])
    check_takes_images(model, card)
    labelled = labelled_examples(data, recipe["labels_per_class"])
    if recipe["pretraining_steps"]:
        pretrain(model, recipe, data, labelled, card["preprocessing"], generator)
    if recipe["steps"]:
        supervise(model, recipe, data, labelled, teacher, card["preprocessing"], generator)
    elif labelled is not None:
        if zero_shot:
            del model.zero_shot
            card["zero_shot"] = {}
            model.reset_classifier(len(classes))
        fit_linear_head(model, *labelled, card["preprocessing"])
    return model.eval(), card


def small_patches(size: int) -> dict[str, int]:
    """Options of timm's small vision transformers, whose patches of 16 pixels are too coarse."""
    return {"img_size": size, "patch_size": 8}


def check_takes_images(model: nn.Module, card: Card) -> None:
    """Raise InputError if the architecture cannot take images of the data sets' size."""
    size = card["preprocessing"]["size"]
    try:
        next(predict(model, np.zeros((1, size, size), np.uint8), card["preprocessing"]))
    except (AssertionError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"architecture {described(card)} cannot take images of {size} x {size} pixels "
            f"({error}): choose another in the recipe"
        ) from None


def labelled_examples(
    data: Mapping[str, Examples], labels_per_class: Mapping[str, int | None]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Images [n, H, W] and labels [n]: the first so many of each class of each train split."""
    images, labels = [], []
    for name, count in labels_per_class.items():
        train = data[name].where("train")
        for label in range(len(data[name].classes)):
            of_class = train[data[name].labels[train] == label]
            if count and count > len(of_class):
                raise InputError(
                    f"labels_per_class asks for {count} examples of each class of {name!r}, whose "
                    f"train split has {len(of_class)} of {data[name].classes[label]!r}: lower it"
                )
            chosen = of_class[:count]
            images.append(data[name].images_NHW[chosen])
            labels.append(data[name].labels[chosen])
    return (np.concatenate(images), np.concatenate(labels)) if images else None


def unlabelled_images(data: Mapping[str, Examples], names: list[str]) -> np.ndarray:
    """All images [n, H, W] of the train splits of these data sets."""
    return np.concatenate([data[name].images_NHW[data[name].where("train")] for name in names])


def pretrain(
    model: nn.Module,
    recipe: Recipe,
    data: Mapping[str, Examples],
    labelled: tuple[np.ndarray, np.ndarray] | None,
    preprocessing: Preprocessing,
    generator: torch.Generator,
) -> None:
    """Train the backbone by the recipe's framework."""
    framework = recipe["framework"]
    if framework == "supervised_contrastive":
        images_NHW, labels_N = labelled
    else:
        images_NHW = unlabelled_images(data, recipe["unlabelled"])
    pixels = to_pixels(images_NHW)
    model.train()
    inputs = (model, pixels, preprocessing, generator)
    temperature = recipe["temperature"]
    comparisons = {
        "simclr": lambda first, second, _: objectives.nt_xent(first, second, temperature),
        "barlow_twins": lambda first, second, _: objectives.barlow_twins(first, second),
        "supervised_contrastive": lambda first, second, batch: objectives.supervised_contrastive(
            first, second, torch.from_numpy(labels_N)[batch], temperature
        ),
    }
    finish = None
    if framework in comparisons:
        extra, loss = frameworks.two_views(*inputs, comparisons[framework])
    elif framework == "rotation":
        extra, loss = frameworks.rotation(*inputs)
    elif framework == "masked_autoencoder":
        extra, loss = frameworks.masked_autoencoder(*inputs, recipe["mask_ratio"])
    else:
        captioned = [data[name] for name in recipe["unlabelled"]]
        sentences = [each.captions[i] for each in captioned for i in each.where("train")]
        extra, loss, finish = frameworks.captions(
            *inputs, sentences, captioned[0].prompts, recipe["augmentation"]
        )
    optimise(
        [*model.parameters(), *extra.parameters()],
        loss,
        len(pixels),
        generator,
        steps=recipe["pretraining_steps"],
        batch_size=recipe["pretraining_batch_size"],
        optimizer="adamw",
        learning_rate=recipe["pretraining_learning_rate"],
        weight_decay=recipe["weight_decay"],
        schedule=recipe["schedule"],
        description=f"pre-training ({framework})",
    )
    if finish:
        finish()


def supervise(
    model: nn.Module,
    recipe: Recipe,
    data: Mapping[str, Examples],
    labelled: tuple[np.ndarray, np.ndarray],
    teacher: Teacher | None,
    preprocessing: Preprocessing,
    generator: torch.Generator,
) -> None:
    """Train all weights on labels, or on a teacher's softened predictions for unlabelled images."""
    if teacher is None:
        images_NHW, labels_N = labelled
        targets = torch.from_numpy(labels_N)
    else:
        images_NHW = unlabelled_images(data, recipe["unlabelled"])
        model_of_teacher, card = teacher
        batches = predict(model_of_teacher, images_NHW, card["preprocessing"])
        logits_NC = torch.cat([logits for _, logits in batches])
        targets = (logits_NC / recipe["temperature"]).softmax(dim=1)
    pixels = to_pixels(images_NHW)
    model.train()

    def loss(batch: torch.Tensor) -> torch.Tensor:
        inputs = augment(pixels[batch], recipe["augmentation"], generator)
        logits_NC = classify(model, features(model, normalise(inputs, preprocessing)))
        return F.cross_entropy(logits_NC, targets[batch], label_smoothing=recipe["label_smoothing"])

    optimise(
        model.parameters(),
        loss,
        len(pixels),
        generator,
        **{
            leaf: recipe[leaf]
            for leaf in (
                "steps",
                "batch_size",
                "optimizer",
                "learning_rate",
                "weight_decay",
                "schedule",
            )
        },
        description="training",
    )


def fit_linear_head(
    model: nn.Module,
    images_NHW: np.ndarray,
    labels_N: np.ndarray,
    preprocessing: Preprocessing,
    penalty: float = 1e-3,
) -> None:
    """Fit the model's linear head on frozen features by L-BFGS on L2-penalised cross-entropy.

    Features are standardised for the fit; the scaling is then folded into the head's weights.
    """
    outputs_ND = torch.cat([out for out, _ in predict(model, images_NHW, preprocessing)]).clone()
    centre, spread = outputs_ND.mean(dim=0), outputs_ND.std(dim=0) + 1e-6
    inputs_ND = (outputs_ND - centre) / spread
    targets_N = torch.from_numpy(labels_N)
    parameters = [*head(model).parameters()]
    for parameter in parameters:
        nn.init.zeros_(parameter)
    solver = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(classify(model, inputs_ND), targets_N)
        loss = loss + penalty * linear_head(model)[0].square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    with torch.no_grad():
        weight_CD, bias_C = linear_head(model)
        bias_C -= weight_CD @ (centre / spread)
        weight_CD /= spread
