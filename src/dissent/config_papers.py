"""What each paper asks of a run."""

from typing import Annotated

from pydantic import AfterValidator, Field

from dissent.config_connectivity import ImageConnectivity, TextConnectivity
from dissent.config_data import Download
from dissent.config_dropout import DropoutOnDomains
from dissent.config_types import Distinct, Id, Number, Percent, Positive, Section, Share

# The gain of mixing compares these.
COMPARED_SHARES = (0, 50, 100)


def _rising(window: list[float]) -> list[float]:
    if window[0] >= window[1]:
        raise ValueError("should be [low, high] with low below high")
    return window


def _with_compared(shares: list[int]) -> list[int]:
    if not set(COMPARED_SHARES) <= set(shares):
        raise ValueError("should hold 0, 50 and 100 (the gain of mixing compares these)")
    return shares


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


class Shift(Section):
    """Error inconsistency where the data shift."""

    original: Id = Field(description="Data set like the one the models were trained on")
    shifted: Distinct[Id] = Field(min_length=1, description="Data sets like it, but shifted")


class NoOneRepresentation(Section):
    """No One Representation to Rule Them All (arXiv 2110.12899)."""

    data: Id = Field(description="Data set on which models are compared")
    base_model: Id = Field(description="Model that all others are paired with")
    accuracy_window: Annotated[list[Share], AfterValidator(_rising)] = Field(
        min_length=2, max_length=2, description="Lowest and highest accuracy of a compared model"
    )
    compared: Distinct[Id] = Field(
        min_length=1, description="Models that figures 3 and 4 pair with the base model"
    )
    greedy: Greedy | None = None
    feature_mixing: FeatureMixing | None = None
    downstream: Downstream | None = None
    shift: Shift | None = None
    calibration: Distinct[Id] = Field(
        [], description="Data sets on which the calibration of ensembles is drawn"
    )


class PublishedBerts(Section):
    """What McCoy et al. published of 100 BERTs fine-tuned on MNLI."""

    runs: Download = Field(description="Table of each run's accuracies on MNLI and HANS")
    clusters: str = Field(min_length=1, description="Path of the table of each run's cluster")
    counts: Download = Field(description="Of each MNLI example, how many runs were right")
    n_runs: int = Field(ge=2, description="Runs that were counted")
    hans: Id = Field(description="Data set of HANS, on which other models are compared")
    caliper: Number = Field(gt=0, description="Most by which equal accuracies on MNLI differ")
    permutations: Positive = Field(description="Permutations of the clusters' labels")


class LinearConnectivity(Section):
    """Linear Connectivity Reveals Generalization Strategies (arXiv 2205.12411)."""

    published: PublishedBerts | None = None
    text: TextConnectivity | None = None
    images: ImageConnectivity | None = None


class PublishedSoups(Section):
    """What Wortsman et al. published of 72 fine-tuned CLIPs and their averages."""

    individual: Download = Field(description="Accuracies of each model, a line of JSON each")
    uniform: Download = Field(description="Accuracies of the average of all")
    greedy: Download = Field(description="Accuracies of the average of chosen ones")


class VeryLargeDropout(Section):
    """Fine-tuning with Very Large Dropout (arXiv 2403.00946)."""

    soups: PublishedSoups | None = None
    domains: DropoutOnDomains | None = None
