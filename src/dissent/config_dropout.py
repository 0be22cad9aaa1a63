"""Fine-tuning with Very Large Dropout: what a run file asks of domains, and what follows."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from dissent.config_text import Problem
from dissent.config_types import Above0, Distinct, Id, Number, Positive, Section, Share

DOMAINS = ("very_large_dropout", "domains")
# The data sets whose examples are in domains.
KINDS = ("domains", "domain_folder")
# The parts that may give leaves of fine_tuning anew.
VARIED = ("higher_head_rate", "scratch", "poorer_model", "more_data", "linear")
# What every run of a family shares.
SHARED = ("steps", "batch_size", "images", "checkpoints", "momentum", "decays", "augmentation")
# What runs that train more than a linear model share besides.
WITH_MASKS = (*SHARED, "masks")
Family = dict[str, Any]


def _with_none(rates: list[float]) -> list[float]:
    if 0 not in rates:
        raise ValueError("should hold 0, which the other rates are compared with")
    return rates


def _without_null_defaults(schema: dict[str, Any]) -> None:
    """Null stands for a leaf that is left out, and is no value of its own."""
    for leaf in schema["properties"].values():
        if leaf.get("default", 0) is None:
            del leaf["default"]


Rate = Annotated[Number, Field(ge=0, lt=1)]
Rates = Annotated[
    Distinct[Rate],
    AfterValidator(_with_none),
    Field(description="Dropout rates; 0 is among them"),
]
LearningRates = Annotated[Distinct[Above0], Field(min_length=1, description="Learning rates")]
WeightDecays = Annotated[
    Distinct[Annotated[Number, Field(ge=0)]],
    Field(min_length=1, description="Weight decays, of all weights"),
]
Steps = Annotated[Positive, Field(description="Steps")]
BatchSize = Annotated[Positive, Field(description="Images of each training domain per step")]
Images = Annotated[
    Positive | None,
    Field(description="Training images of each domain, as many of each class as can be; null: all"),
]
Checkpoints = Annotated[
    Positive, Field(description="Checkpoints, evenly spaced, the last at the end")
]
Momentum = Annotated[Number, Field(ge=0, lt=1, description="Momentum")]
Decays = Annotated[
    Distinct[Share],
    Field(description="Shares of the steps from which on the learning rate is a tenth"),
]
Augmentation = Annotated[
    Literal["none", "light", "strong", "crops"], Field(description="Image augmentation")
]
Masks = Annotated[
    Positive,
    Field(
        description="Dropout masks of each image in a step, whose losses are averaged: more than "
        "the paper's 1 have the same expected loss with less noise, which short runs need"
    ),
]
Seeds = Annotated[Positive, Field(description="Replicates: order of the images, and masks")]


class Grid(Section):
    """Fine-tuning with each rate, learning rate, weight decay and seed."""

    rates: Rates
    learning_rates: LearningRates
    weight_decays: WeightDecays
    steps: Steps
    batch_size: BatchSize
    images: Images = None
    checkpoints: Checkpoints = 5
    momentum: Momentum = 0.9
    decays: Decays = Field([0.5])
    augmentation: Augmentation = "none"
    masks: Masks = 1
    seeds: Seeds = 1


class Settings(Section):
    """What is left out is that of fine_tuning."""

    model_config = ConfigDict(json_schema_extra=_without_null_defaults)

    learning_rates: LearningRates = None
    weight_decays: WeightDecays = None
    steps: Steps = None
    batch_size: BatchSize = None
    images: Images = None
    checkpoints: Checkpoints = None
    momentum: Momentum = None
    decays: Decays = None
    augmentation: Augmentation = None
    seeds: Seeds = None


class MaskedSettings(Settings):
    """The same of what trains the network."""

    masks: Masks = None


class HigherHeadRate(MaskedSettings):
    """Fine-tuning with a higher learning rate of the head; rates: 0 and large_rate, if left out."""

    rates: Rates = None
    factor: Number = Field(10.0, gt=1, description="Times the learning rate of all other weights")


class Scratch(MaskedSettings):
    """Training from random weights; what is left out is that of fine_tuning."""

    rates: Rates = None


class PoorerModel(MaskedSettings):
    """Fine-tuning a model that learned from less: without dropout, and with all that helps."""

    model: Id = Field(description="Model with weights in the model table")


class MoreData(MaskedSettings):
    """Fine-tuning on more images, on all if `images` is left out."""

    rates: Rates = None


class Linear(Settings):
    """Linear fine-tuning of a frozen network, and linear probes; the rest is of fine_tuning."""

    rates: Rates = None
    blocks: Positive = Field(3, description="Last residual blocks whose outputs are combined")
    widths: Distinct[Positive] = Field(
        [], description="Numbers of features, kept at random, of further linear probes"
    )


class Way(Section):
    """One fine-tuning without dropout."""

    learning_rate: Above0 = Field(description="Learning rate")
    steps: Positive = Field(description="Steps")


class Interpolation(Section):
    """Between the pre-trained network and two fine-tunings of it (figure 1)."""

    mild: Way
    long: Way
    points: int = Field(11, ge=2, description="Points on the way, with both ends")


class DropoutOnDomains(Section):
    """Fine-tuning on all domains but one, and accuracy on these and on that one."""

    data: Id = Field(description="Data set of kind domains or domain_folder")
    model: Id = Field(description="Model with weights in the model table, to start from")
    large_rate: Number = Field(
        0.9, gt=0, lt=1, description="Rate of fine_tuning that is compared with other methods"
    )
    fine_tuning: Grid
    higher_head_rate: HigherHeadRate | None = None
    scratch: Scratch | None = None
    poorer_model: PoorerModel | None = None
    more_data: MoreData | None = None
    linear: Linear | None = None
    interpolation: Interpolation | None = None
    families_per_job: Positive = Field(
        1, description="Families of runs of one model that share a job"
    )


def families(section: DropoutOnDomains) -> dict[str, Family]:
    """Settings of every family that is asked for, by its name: what its training uses, as JSON.

    `runs` are in the order rate, learning rate, weight decay, seed; those of `linear` are first
    in the order kind and width.
    """
    grids, large = _grids(section), section.large_rate
    higher = section.higher_head_rate
    factor = higher.factor if higher else HigherHeadRate.model_fields["factor"].default
    found = {"fine-tuning": _family(grids["fine_tuning"])}
    if higher:
        found["higher-head-rate"] = _family(grids["higher_head_rate"], factor)
    if section.scratch:
        found["scratch"] = _family(grids["scratch"])
    if section.poorer_model:
        leaves = grids["poorer_model"]
        found["poorer-model"] = _family(leaves) | {
            "runs": _runs([(0.0, 1.0), (large, factor)], leaves)
        }
    if section.more_data:
        found["more-data"] = _family(grids["more_data"])
    if section.linear:
        found["linear"] = _linear_family(section.linear, grids["linear"])
    if section.interpolation:
        grid = grids["fine_tuning"]
        leaves = ("batch_size", "images", "momentum", "decays", "augmentation")
        found["interpolation"] = {
            **section.interpolation.model_dump(),
            "weight_decay": grid["weight_decays"][0],
            **{leaf: grid[leaf] for leaf in leaves},
        }
    return found


def dropout_conflicts(section: DropoutOnDomains, n_train: int | None) -> Iterator[Problem]:
    """Between leaves of the section, and with the train split of a domain, where it is known."""
    grids, large = _grids(section), section.large_rate
    if large not in section.fine_tuning.rates:
        rates = ", ".join(f"{rate:g}" for rate in section.fine_tuning.rates)
        what = f"should be among fine_tuning.rates ({rates}), not {large:g}"
        yield (*DOMAINS, "large_rate"), what
    for key, leaves in grids.items():
        given = getattr(section, key).model_fields_set
        if leaves["checkpoints"] > leaves["steps"] and given & {"steps", "checkpoints"}:
            at = "checkpoints" if "checkpoints" in given else "steps"
            what = f"should be as many steps as checkpoints ({leaves['checkpoints']}) at least"
            yield (*DOMAINS, key, at), f"{what}, not {leaves['steps']}"
        if n_train and "images" in given and (leaves["images"] or 0) > n_train:
            what = f"should be {n_train} at most, the train split of {section.data!r}"
            yield (*DOMAINS, key, "images"), f"{what}, not {leaves['images']}"
    yield from _poorer_conflicts(section, grids)
    if section.more_data:
        most = n_train or math.inf
        few, more = (grids[key]["images"] or most for key in ("fine_tuning", "more_data"))
        if more <= few <= most:
            what = "should train on more images than fine_tuning does; lower fine_tuning.images"
            yield (*DOMAINS, "more_data"), f"{what}, or leave more_data out"


def _poorer_conflicts(section: DropoutOnDomains, grids: dict[str, dict]) -> Iterator[Problem]:
    """What the runs of the poorer model are compared with."""
    poorer, large = section.poorer_model, section.large_rate
    if poorer and poorer.model == section.model:
        yield (*DOMAINS, "poorer_model", "model"), f"should differ from model, {poorer.model!r}"
    if poorer and large not in grids.get("higher_head_rate", {"rates": []})["rates"]:
        what = f"needs higher_head_rate with the rate {large:g}, to be compared with it"
        yield (*DOMAINS, "poorer_model"), what


def _grids(section: DropoutOnDomains) -> dict[str, dict[str, Any]]:
    """The leaves of fine_tuning and of each part that may give them anew, resolved, by key."""
    grid = section.fine_tuning.model_dump()
    defaults = {
        "higher_head_rate": {"rates": [0.0, section.large_rate]},
        "more_data": {"images": None},
    }
    return {"fine_tuning": grid} | {
        key: grid | defaults.get(key, {}) | part.model_dump(exclude_unset=True)
        for key in VARIED
        if (part := getattr(section, key))
    }


def _family(
    leaves: dict[str, Any], head_factor: float = 1.0, shared: tuple[str, ...] = WITH_MASKS
) -> Family:
    runs = _runs([(rate, head_factor) for rate in leaves["rates"]], leaves)
    return {"runs": runs, **{leaf: leaves[leaf] for leaf in shared}}


def _linear_family(linear: Linear, leaves: dict[str, Any]) -> Family:
    family = _family(leaves, shared=SHARED)
    kinds = [("linear", None), ("probe", None), *(("probe", width) for width in linear.widths)]
    runs = [run | {"kind": kind, "width": width} for kind, width in kinds for run in family["runs"]]
    return family | {"runs": runs, "blocks": linear.blocks}


def _runs(heads: list[tuple[float, float]], leaves: dict[str, Any]) -> list[dict[str, Any]]:
    """One run for each (rate, factor of the head's learning rate), configuration and seed."""
    return [
        {
            "rate": rate,
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "head_factor": head_factor,
            "seed": seed,
        }
        for (rate, head_factor), learning_rate, weight_decay, seed in product(
            heads, leaves["learning_rates"], leaves["weight_decays"], range(leaves["seeds"])
        )
    ]
