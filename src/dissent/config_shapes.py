"""What a run file and a row of the model table may hold; the schemas are written from here."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from dissent.config_data import DataSet, Format, Split
from dissent.config_low_data import LowDataEnsembles
from dissent.config_papers import LinearConnectivity, NoOneRepresentation, VeryLargeDropout
from dissent.config_text import Source
from dissent.config_types import (
    REVISION,
    SHA256,
    Category,
    Distinct,
    Id,
    Number,
    Positive,
    Section,
    in_one_sentence,
)

Option = Annotated[int | list[int], in_one_sentence("should be a whole number, or a list of them")]
CATEGORIES: tuple[str, ...] = get_args(Category)
ModelSource = Literal["train", "file", "open_clip", "predictions", "transformers"]
# Sources of models of images that are there with their weights.
WITH_WEIGHTS = ("train", "file")
# And all that look at images: those of open_clip are not fine-tuned.
LOOKING = (*WITH_WEIGHTS, "open_clip")
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
# What a source of models has to say (True), and what it may.
COLUMNS: dict[ModelSource, dict[str, bool]] = {
    "train": {"recipe": True, "seed": True},
    "file": {"architecture": True, "location": True, "sha256": True},
    "open_clip": {"architecture": True, "location": True, "sha256": True},
    "predictions": {"data": True, "location": True, "sha256": False, "format": False},
    "transformers": {"location": True, "revision": False, "sha256": True},
}


def _extendable(schema: dict[str, Any]) -> None:
    """Say in the schema that a recipe with `extends` may leave out what its parent has."""
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Recipe whose leaves this one takes over where it does not give its own",
    }
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]


class Recipe(Section):
    """How a model is trained, once `extends` is resolved."""

    model_config = ConfigDict(json_schema_extra=_extendable)

    framework: Framework = Field(description="Training method")
    architecture: str = Field(min_length=1, description="timm architecture")
    options: dict[str, Option] = Field(
        {}, description="Keyword arguments that timm's architecture takes, such as channels"
    )
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

    data: Distinct[Id] = Field(
        [],
        description="Data sets on which models are compared; needed but where the run has "
        "low_data_ensembles, very_large_dropout.domains, linear_connectivity.text or "
        "linear_connectivity.images",
    )
    bootstrap_resamples: Positive = Field(2000, description="Bootstrap resamples of the examples")
    confidence_level: Number = Field(0.95, gt=0, lt=1, description="Coverage of the intervals")
    calibration_bins: Positive = Field(15, description="Bins of the expected calibration error")
    calibration_split: Split = Field(
        "tune", description="Split on which temperatures and sets are chosen"
    )
    report_split: Split = Field("report", description="Split whose numbers are reported")
    ensemble_rule: Literal["mean_probability", "mean_logit", "most_confident"] = Field(
        "mean_probability",
        description="How two models are combined in figure 2 and in the trends of the claims; "
        "greedy addition always averages probabilities",
    )


class LogitCaching(Section):
    """How models look at data sets of encoded images."""

    batch_size: Positive = Field(
        128, description="Images at once, at most: half as many where memory runs out"
    )
    precision: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="Of the models' products; what is made of logits is float32"
    )


class Ensembling(Section):
    """Which models are worth ensembling, on each data set on which models are compared."""

    max_members: int = Field(ge=2, description="Most models in an ensemble")


class Run(Section):
    """One run: config/<run>.yaml."""

    run: Id = Field(description="Name of the run; results go to results/<run>")
    models: str = Field(min_length=1, description="Path of the model table")
    threads: Positive = Field(1, description="Threads of one job")
    gpus: Literal[0, 1] = Field(
        0, description="GPUs of a job that fine-tunes networks, or has them say something"
    )
    data: dict[Id, DataSet] = Field(min_length=1, description="Data sets by name")
    formats: dict[Id, Format] = Field({}, description="Ways to read files of predictions, by name")
    recipes: dict[Id, Recipe] = Field({}, description="Recipes by name")
    metrics: Metrics = Metrics()
    logits: LogitCaching = LogitCaching()
    ensembling: Ensembling | None = None
    no_one_representation: NoOneRepresentation | None = None
    low_data_ensembles: LowDataEnsembles | None = None
    linear_connectivity: LinearConnectivity | None = None
    very_large_dropout: VeryLargeDropout | None = None
    _source: Source = PrivateAttr()


class Model(BaseModel):
    """One row of the model table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Id = Field(description="Id of the model")
    category: Category | None = Field(
        None,
        description="How it differs from the base model; needed where the run file names one, or "
        "pools, but of models that very_large_dropout starts from, and empty of transformers",
    )
    source: ModelSource = Field(
        description="Trained by a recipe, weights of timm from a file, those of open_clip, "
        "predictions that exist already, or a text model's weights as transformers reads them"
    )
    data: str | None = Field(None, description="Data set that was predicted (predictions)")
    recipe: str | None = Field(None, description="Recipe in the run file (train)")
    seed: int | None = Field(None, ge=0, description="Seed of weights, order, augmentation (train)")
    batch: Id | None = Field(None, description="Models of one batch share a job; empty: its own")
    architecture: str | None = Field(
        None,
        description="timm's name (file), or that of open_clip with its tag: ViT-B-32/openai "
        "(open_clip)",
    )
    location: str | None = Field(
        None,
        description="Path or https address (file, open_clip, predictions), or id on the hub "
        "or path of a folder (transformers)",
    )
    revision: str | None = Field(
        None, pattern=REVISION, description="Commit of the repository on the hub (transformers)"
    )
    sha256: str | None = Field(
        None, pattern=SHA256, description="Sha256 of that file, or of model.safetensors there"
    )
    format: str | None = Field(None, description="How to read it, in the run file (predictions)")
    licence: str | None = Field(None, description="Licence of the weights or predictions")
    citation: str | None = Field(None, description="Whom to cite")
    cost: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Cost of one inference, in any one unit"
    )
