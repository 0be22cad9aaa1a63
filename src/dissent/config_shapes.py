"""What a run file and a row of the model table may hold; the schemas are written from here."""

from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, Strict

from dissent.config_text import Source

Category = Literal["reinit", "hyper-parameters", "architectures", "frameworks", "datasets"]
CATEGORIES: tuple[str, ...] = get_args(Category)
Framework = Literal[
    "supervised",
    "simclr",
    "barlow_twins",
    "masked_autoencoder",
    "rotation",
    "distillation",
    "supervised_contrastive",
    "captions",
]
Kind = Literal["handwritten", "glyphs", "letters"]
Split = Literal["train", "tune", "report"]
ID = r"^[a-z0-9][a-z0-9._-]*$"
SHA256 = r"^[0-9a-f]{64}$"
Id = Annotated[str, Field(pattern=ID)]
# YAML reads 1e-3 as text; it is a number all the same.
Number = Annotated[float, Strict(False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Percent = Annotated[int, Field(ge=0, le=100)]
Positive = Annotated[int, Field(ge=1)]

PATTERNS = {
    ID: "should hold only a-z, 0-9, '.', '_' and '-', and start with a letter or digit",
    SHA256: "should be 64 hexadecimal digits in lower case",
}
PRETRAINING = ("pretraining_steps", "pretraining_batch_size", "pretraining_learning_rate")
NEEDED_LEAVES: dict[str, tuple[str, ...]] = {
    "supervised": ("labels_per_class",),
    "simclr": ("labels_per_class", "unlabelled", *PRETRAINING, "temperature"),
    "barlow_twins": ("labels_per_class", "unlabelled", *PRETRAINING),
    "masked_autoencoder": ("labels_per_class", "unlabelled", *PRETRAINING, "mask_ratio"),
    "rotation": ("labels_per_class", "unlabelled", *PRETRAINING),
    "distillation": ("unlabelled", "steps", "teacher", "temperature"),
    "supervised_contrastive": ("labels_per_class", *PRETRAINING, "temperature"),
    "captions": ("unlabelled", *PRETRAINING),
}
# What a framework can do without, but has a use for.
OPTIONAL_LEAVES: dict[str, tuple[str, ...]] = {"captions": ("labels_per_class",)}
NEEDED_COLUMNS = {"train": ("recipe", "seed"), "file": ("architecture", "location", "sha256")}
# The gain of mixing compares these.
COMPARED_SHARES = (0, 50, 100)


class Offer(NamedTuple):
    """What the data sets of a kind have beside images."""

    classes: str
    multi_label: bool = False
    captions: bool = False


OFFERS: dict[Kind, Offer] = {
    "handwritten": Offer("digits"),
    "glyphs": Offer("digits", captions=True),
    "letters": Offer("letters", multi_label=True),
}


class Section(BaseModel):
    """A part of the run file: no unknown keys, no silent conversions, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _extendable(schema: dict[str, Any]) -> None:
    """Say in the schema that a recipe with `extends` may leave out what its parent has."""
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Recipe whose leaves this one takes over where it does not give its own",
    }
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]


def _rising(window: list[float]) -> list[float]:
    if window[0] >= window[1]:
        raise ValueError("should be [low, high] with low below high")
    return window


def _distinct(items: list) -> list:
    for item in items:
        if items.count(item) > 1:
            raise ValueError(f"should hold each item once, not {item!r} twice")
    return items


def _with_compared(shares: list[int]) -> list[int]:
    if not set(COMPARED_SHARES) <= set(shares):
        raise ValueError("should hold 0, 50 and 100 (the gain of mixing compares these)")
    return shares


Item = TypeVar("Item")
Distinct = Annotated[
    list[Item], AfterValidator(_distinct), Field(json_schema_extra={"uniqueItems": True})
]


class DataSet(Section):
    """One data set and how many examples each split of it has."""

    kind: Kind = Field(description="Where images come from")
    seed: int = Field(ge=0, description="Seed of the split and of whatever is drawn")
    size: Positive = Field(description="Height and width of the images in pixels")
    splits: dict[Split, Positive] = Field(min_length=1, description="Examples of each split")


class Recipe(Section):
    """How a model is trained, once `extends` is resolved."""

    model_config = ConfigDict(json_schema_extra=_extendable)

    framework: Framework = Field(description="Training method")
    architecture: str = Field(min_length=1, description="timm architecture")
    labels_per_class: dict[Id, Positive | None] = Field(
        description="Labelled examples per class of each data set's train split; null for all"
    )
    steps: int = Field(ge=0, description="Steps with labels; 0 for a linear head on the features")
    batch_size: Positive = Field(description="Examples per step")
    optimizer: Literal["adamw", "sgd"] = Field(description="Optimiser")
    learning_rate: Number = Field(gt=0, description="Peak learning rate")
    weight_decay: Number = Field(ge=0, description="Weight decay")
    label_smoothing: Number = Field(ge=0, lt=1, description="Label smoothing")
    drop_rate: Number = Field(ge=0, lt=1, description="Dropout before the classifier")
    augmentation: Literal["none", "light", "strong"] = Field(description="Image augmentation")
    schedule: Literal["cosine", "constant"] = Field(description="Learning rate over the steps")
    unlabelled: Distinct[Id] = Field(
        [], description="Data sets whose train split is seen unlabelled"
    )
    pretraining_steps: int = Field(0, ge=0, description="Steps without labels, before the others")
    pretraining_batch_size: Positive | None = Field(None, description="Examples per such step")
    pretraining_learning_rate: Number | None = Field(
        None, gt=0, description="Peak learning rate of such steps"
    )
    teacher: Id | None = Field(None, description="Model to imitate (distillation)")
    temperature: Number | None = Field(
        None, gt=0, description="Of the softmax (simclr, supervised_contrastive, distillation)"
    )
    mask_ratio: Number | None = Field(
        None, gt=0, lt=1, description="Share of patches hidden (masked_autoencoder)"
    )


class Metrics(Section):
    """How every metric is computed."""

    bootstrap_resamples: Positive = Field(description="Bootstrap resamples of the examples")
    confidence_level: Number = Field(gt=0, lt=1, description="Coverage of the intervals")
    calibration_bins: Positive = Field(description="Bins of the expected calibration error")
    calibration_split: Split = Field(description="Split on which temperatures and sets are chosen")
    report_split: Split = Field(description="Split whose numbers are reported")
    ensemble_rule: Literal["mean_probability", "mean_logit", "most_confident"] = Field(
        description="How two models are combined in figure 2 and in the trends of the claims; "
        "greedy addition always averages probabilities"
    )


class Compared(Section):
    """The models that figures 3 and 4 pair with the base model, each of its own category."""

    reinit: Id = Field(description="Model that differs by its seed")
    architectures: Id = Field(description="Model that differs by its architecture")
    datasets: Id = Field(description="Model that differs by its training data")


class Greedy(Section):
    """Greedy addition of weak models to strong ones (figure 5)."""

    start: Distinct[Id] = Field(min_length=1, description="Strong models to start from")
    max_added: Positive = Field(description="Most models added to each")


class FeatureMixing(Section):
    """Linear probes on mixed features (figure 6)."""

    models: Distinct[Id] = Field(min_length=1, description="Models whose features join the base's")
    shares: Annotated[Distinct[Percent], AfterValidator(_with_compared)] = Field(
        description="Percent of the other's dimensions; 0, 50 and 100 are among them"
    )
    repeats: Positive = Field(description="Random choices of dimensions per share")
    kept: Distinct[Positive] = Field(
        min_length=1, description="Dimensions kept, ranked by covariance"
    )


class Downstream(Section):
    """Linear probes on a task that no model was trained for (figure 7)."""

    data: Id = Field(description="Multi-label data set")
    models: Distinct[Id] = Field(min_length=2, description="Models whose features are probed")


class NoOneRepresentation(Section):
    """No One Representation to Rule Them All (arXiv 2110.12899)."""

    data: Id = Field(description="Data set on which models are compared")
    base_model: Id = Field(description="Model that all others are paired with")
    accuracy_window: Annotated[list[Share], AfterValidator(_rising)] = Field(
        min_length=2, max_length=2, description="Lowest and highest accuracy of a compared model"
    )
    compared: Compared
    greedy: Greedy
    feature_mixing: FeatureMixing
    downstream: Downstream


class Run(Section):
    """One run: config/<run>.yaml."""

    run: Id = Field(description="Name of the run; results go to results/<run>")
    models: str = Field(min_length=1, description="Path of the model table")
    threads: Positive = Field(description="Threads of one job")
    data: dict[Id, DataSet] = Field(min_length=1, description="Data sets by name")
    recipes: dict[Id, Recipe] = Field(description="Recipes by name")
    metrics: Metrics
    no_one_representation: NoOneRepresentation
    _source: Source = PrivateAttr()


class Model(BaseModel):
    """One row of the model table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Id = Field(description="Id of the model")
    category: Category = Field(description="How it differs from the base model")
    source: Literal["train", "file"] = Field(description="Trained by a recipe, or read from a file")
    recipe: str | None = Field(None, description="Recipe in the run file (train)")
    seed: int | None = Field(None, ge=0, description="Seed of weights, order, augmentation (train)")
    batch: Id | None = Field(None, description="Models of one batch share a job; empty: its own")
    architecture: str | None = Field(None, description="timm architecture (file)")
    location: str | None = Field(None, description="Path of a safetensors file (file)")
    sha256: str | None = Field(None, pattern=SHA256, description="Its sha256 (file)")
    licence: str | None = Field(None, description="Licence of the weights")
    citation: str | None = Field(None, description="Whom to cite")
