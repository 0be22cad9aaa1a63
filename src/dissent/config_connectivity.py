"""Linear Connectivity: what a run file asks of text and of images, and what follows."""

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from dissent.config_text import Problem, not_among
from dissent.config_types import COMMIT, Above0, Distinct, Id, Number, Positive, Section

TEXT = ("linear_connectivity", "text")
IMAGES = ("linear_connectivity", "images")
# The family of models that are not fine-tuned here.
OWN = "models"
# The families of images.
SEPARATE, ALIGNED, ONE_RUN = "separate", "aligned", "one-run"
Member = dict[str, Any]  # model, head and order; head and order are None where they are not drawn


class Arm(Section):
    """Fine-tunings that are compared: each head with each order of the examples."""

    heads: Positive = Field(description="Random heads to start from")
    orders: Positive = Field(description="Random orders of the training examples")


class TextFineTuning(Section):
    """How `start` is fine-tuned, with AdamW, a linear warm-up and a linear decay to 0."""

    layers: Positive | None = Field(
        None, description="First layers of the encoder that are kept; null: all"
    )
    frozen_layers: int = Field(
        0, ge=0, description="First layers that are not trained, nor the embeddings; 0: all are"
    )
    steps: Positive = Field(description="Steps")
    batch_size: Positive = Field(32, description="Examples per step")
    learning_rate: Above0 = Field(description="Peak learning rate")
    warm_up: Number = Field(
        0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises"
    )
    weight_decay: Number = Field(
        0.01, ge=0, description="Weight decay, of all weights but biases and LayerNorm"
    )
    clip: Above0 = Field(1.0, description="Largest norm of the gradient")
    head_std: Above0 = Field(0.02, description="Standard deviation of a new head's weights")
    dropout: Number = Field(0.0, ge=0, lt=1, description="Dropout")
    checkpoints: Positive = Field(
        1, description="Checkpoints, evenly spaced, the last at the end, that are compared each"
    )


class Strategy(Section):
    """Examples whose accuracy tells how a model generalises."""

    data: Id = Field(description="Data set, among diagnostics")
    group: str = Field(min_length=1, description="Group of its examples")


class Planes(Section):
    """Losses in planes through three models."""

    points: int = Field(9, ge=4, description="Points along each axis")
    examples: Positive = Field(128, description="Examples of the interpolation set")


class Sharpness(Section):
    """Sharpness of each model: how far its loss rises in a small box around its weights."""

    epsilon: Above0 = Field(1e-5, description="Half the box's width, relative to |weight| + 1")
    steps: Positive = Field(20, description="Steps of gradient ascent")
    learning_rate: Above0 = Field(8e-5, description="Their learning rate")
    examples: Positive = Field(128, description="Examples of the interpolation set")


class Tokenizer(Section):
    """A model whose tokeniser is that of `models`, where they come without."""

    location: str = Field(min_length=1, description="Id on the hub, or path of a folder")
    revision: str | None = Field(None, pattern=COMMIT, description="Its commit, of an id")


class TextConnectivity(Section):
    """Classifiers of sentences: paths between their weights, clusters, and what these foretell."""

    start: Id | None = Field(None, description="Model of source transformers, to fine-tune")
    models: Distinct[Id] = Field(
        [],
        min_length=2,
        description="Models of source transformers, classifiers already, instead of `start`",
    )
    classes: Distinct[str] = Field(
        [],
        description="Names of the models' classes, in the order of their logits, instead of those "
        "in their config.json",
    )
    tokenizer: Tokenizer | None = None
    data: Id = Field(description="Data set of sentences, to fine-tune on (split train)")
    in_domain: Id | None = Field(
        None,
        description="Data set that is alike: models of most accuracy on its split tune are "
        "compared, and accuracy is reported on its split report; null: data",
    )
    interpolation: Id | None = Field(
        None,
        description="Data set on which losses along paths are measured (split report); null: "
        "in_domain",
    )
    diagnostics: Distinct[Id] = Field(
        min_length=1, description="Data sets that tell strategies apart (split report)"
    )
    strategy: Strategy
    arms: dict[Id, Arm] = Field(
        {}, description="Families of fine-tunings by name; pairs are of one family"
    )
    fine_tuning: TextFineTuning | None = None
    examples: Positive = Field(256, description="Examples of the interpolation set, on every path")
    points: int = Field(10, ge=3, description="Points of a path, with both ends")
    path_examples: Positive = Field(
        64, description="Examples of the strategy's group, on paths of the last checkpoints"
    )
    window: Number = Field(
        0.01,
        gt=0,
        le=1,
        description="Most that a compared model's accuracy on the split tune is below the best",
    )
    affinity_scale: Above0 = Field(
        1.0, description="Scale of convexity gaps in the affinity of two models"
    )
    clusters: int = Field(2, ge=2, description="Clusters")
    permutations: Positive = Field(10_000, description="Permutations of the tests")
    batch_size: Positive = Field(256, description="Examples that are evaluated at once")
    planes: Planes | None = None
    sharpness: Sharpness | None = None


class Branches(Section):
    """Ends of one run: the first model, trained on in other orders of the images."""

    count: int = Field(ge=2, description="Branches")
    steps: Positive = Field(description="Steps of each")
    learning_rate: Above0 = Field(description="Learning rate")
    batch_size: Positive = Field(description="Images per step")


class ImageConnectivity(Section):
    """Classifiers of images: paths between separate runs, also aligned, and within one run."""

    models: Distinct[Id] = Field(
        min_length=2, description="Models of source train, of one architecture"
    )
    data: Id = Field(
        description="Data set of images: train for statistics and branches, report for losses"
    )
    branches: Branches | None = None
    examples: Positive = Field(400, description="Images on which losses along paths are measured")
    points: int = Field(11, ge=3, description="Points of a path, with both ends")
    statistics_images: Positive = Field(
        512, description="Training images from which BatchNorm's statistics are estimated anew"
    )
    align: bool = Field(True, description="Also permute units so that weights match first")


def in_domain(text: TextConnectivity) -> str:
    """The data set that is like the training examples."""
    return text.in_domain or text.data


def interpolation(text: TextConnectivity) -> str:
    """The data set on which losses along paths are measured."""
    return text.interpolation or in_domain(text)


def families(text: TextConnectivity) -> dict[str, list[Member]]:
    """The members of every family of text models by its name, as JSON, heads outer, orders inner.

    Those that are fine-tuned here are named after the seeds of their head and their order.
    """
    if not text.start:
        return {OWN: _undrawn(text.models)}
    return {
        name: [
            {"model": f"head-{head}-order-{order}", "head": head, "order": order}
            for head in range(arm.heads)
            for order in range(arm.orders)
        ]
        for name, arm in text.arms.items()
    }


def image_families(images: ImageConnectivity) -> dict[str, list[Member]]:
    """The members of every family of image models by its name, as JSON."""
    found = {SEPARATE: _undrawn(images.models)}
    if images.align:
        found[ALIGNED] = _undrawn(images.models)
    if images.branches:
        found[ONE_RUN] = [
            {"model": f"branch-{order}", "head": None, "order": order}
            for order in range(images.branches.count)
        ]
    return found


def _undrawn(models: list[str]) -> list[Member]:
    return [{"model": model, "head": None, "order": None} for model in models]


def fine_tuning_settings(text: TextConnectivity) -> dict[str, Any]:
    """How `start` is fine-tuned, as JSON."""
    return text.fine_tuning.model_dump()


def connect_settings(text: TextConnectivity) -> dict[str, Any]:
    """What is measured of each family of text models, as JSON."""
    leaves = {"examples", "points", "path_examples", "strategy", "planes", "sharpness"}
    return text.model_dump(include=leaves | {"batch_size"})


def image_settings(images: ImageConnectivity) -> dict[str, Any]:
    """What is measured of image models, as JSON."""
    return images.model_dump(exclude={"models", "data"})


def compare_settings(text: TextConnectivity | None) -> dict[str, Any]:
    """How members of a family are compared, as JSON; of families of images alone, as by default."""
    leaves = ("window", "affinity_scale", "clusters", "permutations")
    if text:
        return text.model_dump(include={*leaves, "strategy"})
    fields = TextConnectivity.model_fields
    return {leaf: fields[leaf].default for leaf in leaves} | {"strategy": None}


def text_conflicts(text: TextConnectivity) -> Iterator[Problem]:
    """Between leaves of the section."""
    if text.start and text.models:
        what = "should be left out beside `start`: models are fine-tuned from it, or are there"
        yield (*TEXT, "models"), f"{what} already"
    elif not text.start and not text.models:
        yield TEXT, "needs 'start' (a model to fine-tune) or 'models' (classifiers already)"
    for leaf in ("classes", "tokenizer"):
        if text.start and getattr(text, leaf):
            what = "should be left out beside `start`, which is fine-tuned to the data's classes"
            yield (*TEXT, leaf), what
    for leaf in ("arms", "fine_tuning"):
        if text.start and not getattr(text, leaf):
            yield (*TEXT, "start"), f"needs {leaf!r} as well"
        elif text.models and not text.start and getattr(text, leaf):
            what = "should be left out where there are `models`, which are fine-tuned already"
            yield (*TEXT, leaf), what
    if text.models and not text.start and in_domain(text) != text.data:
        what = "should be left out where there are `models`: nothing is trained on `data`, which"
        yield (*TEXT, "in_domain"), f"{what} should be the data set that they learned from"
    yield from _arm_conflicts(text)
    if text.fine_tuning:
        yield from _fine_tuning_conflicts(text.fine_tuning)
    if text.strategy.data not in text.diagnostics:
        what = not_among(text.strategy.data, text.diagnostics, "is not among diagnostics")
        yield (*TEXT, "strategy", "data"), what
    if in_domain(text) in text.diagnostics:
        where = (*TEXT, "diagnostics", text.diagnostics.index(in_domain(text)))
        yield where, f"{in_domain(text)!r} is in-domain; name data sets that tell strategies apart"


def _arm_conflicts(text: TextConnectivity) -> Iterator[Problem]:
    """Names of families that are taken, and families without a pair."""
    taken = (SEPARATE, ALIGNED, ONE_RUN)
    for name, arm in text.arms.items():
        where = (*TEXT, "arms", name)
        if name in taken or name.endswith("_paths"):
            what = f"should have another name: {', '.join(taken)} are families of images, and"
            yield where, f"{what} what ends in '_paths' names files"
        if arm.heads * arm.orders == 1:
            yield where, "should have two members at least: raise heads or orders"
    for name, members in families(text).items():
        if text.planes and 1 < len(members) < 3:
            of = f"arms.{name}" if text.start else OWN
            what = f"should be left out, or {of} have three members at least"
            yield (*TEXT, "planes"), f"{what}, to lay a plane through"


def _fine_tuning_conflicts(given: TextFineTuning) -> Iterator[Problem]:
    where = (*TEXT, "fine_tuning")
    if given.layers and given.frozen_layers > given.layers:
        what = f"should be {given.layers} at most, the layers that are kept"
        yield (*where, "frozen_layers"), f"{what}, not {given.frozen_layers}"
    if given.checkpoints > given.steps:
        what = f"should be {given.steps} at most, the number of steps"
        yield (*where, "checkpoints"), f"{what}, not {given.checkpoints}"
