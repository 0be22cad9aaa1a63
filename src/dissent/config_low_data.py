"""Deep Ensembles for Low-Data Transfer Learning: what a run file asks for, and what follows."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Literal

from pydantic import Field

from dissent.config_text import Problem
from dissent.config_types import Above0, Category, Distinct, Id, Number, Positive, Section, Share

SECTION = "low_data_ensembles"
# What a task's data set has to have.
SPLITS = ("train", "tune", "report")
# The one pool of a run that names none.
EVERY_MODEL = "all"


class Task(Section):
    """A task with few labelled examples."""

    data: Id = Field(description="Data set with the splits train, tune and report")
    group: Id = Field("all", description="Group of tasks that it is averaged with")
    metric: Literal["accuracy", "mean_class_accuracy"] = Field(
        "accuracy", description="Score of the task; mean_class_accuracy weighs classes alike"
    )
    changed_by: Distinct[Literal["noise", "blur", "contrast", "rotation"]] = Field(
        [], description="Shifts that change the task's labels, and are left out"
    )


class Ranking(Section):
    """How candidates are ranked by nearest neighbours."""

    normalised: bool = Field(False, description="Whether features are scaled to length 1")


class FineTuning(Section):
    """How candidates are fine-tuned: each with every learning rate and every number of steps."""

    learning_rates: Distinct[Above0] = Field(min_length=1, description="Peak learning rates")
    steps: Distinct[Positive] = Field(min_length=1, description="Numbers of steps")
    more_learning_rates: Distinct[Above0] = Field(
        [],
        description="Further learning rates of the best candidate, for the baseline of one model "
        "with many settings: fine_tuned - 1 times as many as learning_rates; empty: no such "
        "baseline",
    )
    more_heads: bool = Field(
        False,
        description="Fine-tune the best candidate from fine_tuned - 1 further heads, for the "
        "baseline of one model with many heads",
    )
    batch_size: Positive = Field(description="Examples per step")
    momentum: Number = Field(0.9, ge=0, lt=1, description="Momentum")
    weight_decay: Number = Field(0.0, ge=0, description="Weight decay")
    warm_up: Number = Field(
        0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises"
    )
    decays: Distinct[Share] = Field(
        [1 / 3, 2 / 3, 0.9],
        description="Shares of the steps from which on the learning rate is a tenth of what it was",
    )
    seeds: Positive = Field(1, description="Replicates of every fine-tuning")
    models_per_job: Positive = Field(1, description="Fine-tuned models that share a job")


class Selection(Section):
    """How members of an ensemble are chosen: greedily, by cross-entropy on the tune split."""

    max_members: Positive = Field(
        description="Most additions; a member that is added again counts again"
    )
    replacement: bool = Field(True, description="Whether a member may be added again")
    stop: Literal["best", "first_rise"] = Field(
        "best",
        description="Keep the additions up to the least cross-entropy, or up to its first rise",
    )
    bags: Positive = Field(20, description="Random sets of candidates of the bagged selection")
    bag_share: Number = Field(0.5, gt=0, le=1, description="Share of the candidates in each")


class ShiftedImages(Section):
    """Robustness where the images of the report split are noisy, blurred, paler or turned."""

    examples: Positive = Field(description="How many of the report split, evenly spaced")


class LowDataEnsembles(Section):
    """Deep Ensembles for Low-Data Transfer Learning (arXiv 2010.06866)."""

    tasks: dict[Id, Task] = Field(min_length=1, description="Tasks by name")
    pools: Distinct[Category] = Field(
        [],
        description="Categories of the model table whose models are the candidates; empty: all "
        "models with weights are, in one pool",
    )
    ranking: Ranking = Ranking()
    fine_tuned: Positive = Field(description="Best candidates of each pool that are fine-tuned")
    fine_tuning: FineTuning
    selection: Selection
    budgets: Distinct[Above0] = Field(
        [], description="Inference budgets, in multiples of the best candidate's multiply-adds"
    )
    random_draws: Positive = Field(20, description="Random ensembles that are averaged over")
    retrain: bool = Field(
        False, description="Train the members of the final ensemble again, on train and tune"
    )
    shift: ShiftedImages | None = None


def settings(fine_tuning: FineTuning) -> list[dict[str, float]]:
    """The sweep: learning_rate and steps of each setting, learning rates outer, steps inner."""
    return _grid(fine_tuning.learning_rates, fine_tuning.steps)


def more_settings(fine_tuning: FineTuning) -> list[dict[str, float]]:
    """The further settings of the best candidate, in the same order."""
    return _grid(fine_tuning.more_learning_rates, fine_tuning.steps)


def _grid(learning_rates: list[float], steps: list[int]) -> list[dict[str, float]]:
    return [
        {"learning_rate": rate, "steps": count} for rate, count in product(learning_rates, steps)
    ]


def pools(section: LowDataEnsembles, category_of: Mapping[str, str | None]) -> dict[str, list[str]]:
    """The models of each pool, in the order of `category_of` (model with weights to category)."""
    if not section.pools:
        return {EVERY_MODEL: list(category_of)}
    return {
        pool: [model for model, category in category_of.items() if category == pool]
        for pool in section.pools
    }


def places(
    section: LowDataEnsembles, category_of: Mapping[str, str | None]
) -> dict[str, list[str]]:
    """The models that may be fine-tuned at each place, by the place's name.

    Places are `<pool>-<k>` for k from 1 to `fine_tuned`, then `more-settings` and `more-heads` of
    the best candidate, where asked for. Models are in the order of `category_of` (model with
    weights to category, as the model table has them).
    """
    found = {
        f"{pool}-{rank}": models
        for pool, models in pools(section, category_of).items()
        for rank in range(1, section.fine_tuned + 1)
    }
    candidates = [
        model
        for model, category in category_of.items()
        if not section.pools or category in section.pools
    ]
    if section.fine_tuning.more_learning_rates:
        found["more-settings"] = candidates
    if section.fine_tuning.more_heads:
        found["more-heads"] = candidates
    return found


def fine_tuning_conflicts(section: LowDataEnsembles) -> Iterator[Problem]:
    """Baselines that are not fine-tuned as often as the candidates are."""
    fine_tuning, where = section.fine_tuning, (SECTION, "fine_tuning")
    rates, more = fine_tuning.learning_rates, fine_tuning.more_learning_rates
    if section.fine_tuned == 1:
        for leaf, wanted in (("more_learning_rates", "empty"), ("more_heads", "false")):
            if getattr(fine_tuning, leaf):
                yield (*where, leaf), f"should be {wanted} where fine_tuned is 1"
    elif more and len(more) != (wanted := (section.fine_tuned - 1) * len(rates)):
        what = f"should hold none, or fine_tuned - 1 times as many as learning_rates ({wanted})"
        yield (*where, "more_learning_rates"), f"{what}, not {len(more)}"
    for index, rate in enumerate(more):
        if rate in rates:
            what = f"{rate!r} is among learning_rates; give another"
            yield (*where, "more_learning_rates", index), what


def pool_conflicts(
    section: LowDataEnsembles, table: str, category_of: Mapping[str, str | None]
) -> Iterator[Problem]:
    """Pools with fewer models (with weights, in the model table `table`) than are fine-tuned."""
    for index, (pool, models) in enumerate(pools(section, category_of).items()):
        if len(models) < section.fine_tuned:
            at = ("pools", index) if section.pools else ("fine_tuned",)
            of = f" of category {pool!r}" if section.pools else ""
            what = f"{table} should have at least as many models with weights{of} as fine_tuned"
            yield (SECTION, *at), f"{what} asks for ({section.fine_tuned}), and has {len(models)}"
