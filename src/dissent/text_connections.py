"""Measures the networks of a family of text classifiers: at their ends, and between them.

The paper is arXiv 2205.12411. What frozen layers make of the examples is the same for all networks
of a family and everywhere between them: it is computed once.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from torch import nn

from dissent.commandline import InputError
from dissent.connections import Connections, Plane, drawn, known_data
from dissent.devices import own_device
from dissent.examples import Examples
from dissent.finetuned import predicted_positions
from dissent.frozen_layers import top_of
from dissent.label_names import class_columns
from dissent.progress import log, progress
from dissent.text_losses import (
    Sentences,
    loss_parts,
    losses,
    predictions,
    sentences,
)
from dissent.text_networks import Networks
from dissent.weight_paths import (
    State,
    distance,
    is_finite,
    load_,
    losses_along,
    plane,
    sharpness,
)

# Three networks make a plane, a fourth makes it one of several.
ON_A_PLANE = 3


def connect(
    family: str,
    networks: Networks,
    in_domain: Examples,
    interpolation: Examples,
    diagnostics: Sequence[Examples],
    settings: Mapping[str, Any],
) -> Connections:
    """Measure a family: logits at the ends, losses on paths, planes, and sharpness.

    The settings are {examples, points, path_examples, strategy: {data, group}, planes: {points,
    examples} or None, sharpness: {epsilon, steps, learning_rate, examples} or None, batch_size}.
    Networks with weights that are not finite have NaN. Raises InputError for data sets without
    sentences, with several labels an example or labels that the networks do not know, for a
    strategy that no diagnostic set has, and where the loss between finite networks is not finite.
    """
    data_sets = {examples.name: examples for examples in (*diagnostics, in_domain)}
    check_data_sets([*data_sets.values(), interpolation], networks.classes)
    strategy_N = strategy_positions(diagnostics, **settings["strategy"])
    strategy = data_sets[settings["strategy"]["data"]]
    positions_N = {name: examples.where("report") for name, examples in data_sets.items()}
    positions_N[in_domain.name] = predicted_positions(in_domain)
    report_N = interpolation.where("report")

    networks.model.to(own_device())
    top = top_of(networks.model, networks.frozen).eval()
    take = partial(sentences, networks, settings["batch_size"])
    of_ends = [take(examples, positions_N[name]) for name, examples in data_sets.items()]
    of_paths = take(interpolation, drawn(report_N, settings["examples"]))
    of_strategy = take(strategy, drawn(strategy_N, settings["path_examples"]))
    states, last = networks.states, networks.steps[-1]
    finite = {step: finite_states(states[step], step) for step in networks.steps}
    logits_MNC = {
        of_data.examples.name: {
            step: end_logits(top, states[step], finite[step], of_data) for step in networks.steps
        }
        for of_data in of_ends
    }
    shares = np.linspace(0, 1, settings["points"])
    path_losses = partial(losses_of_pairs, top, shares)
    planes, sharpness_M = {}, None
    if settings["planes"]:
        accuracy_M = accuracies(
            logits_MNC[strategy.name][last], positions_N[strategy.name], strategy, strategy_N
        )
        accuracy = dict(zip(states[last], accuracy_M, strict=True))
        of_planes = take(interpolation, drawn(report_N, settings["planes"]["examples"]))
        n_points = settings["planes"]["points"]
        planes = measured_planes(top, finite[last], accuracy, of_planes, n_points)
    if settings["sharpness"]:
        how = dict(settings["sharpness"])
        of_sharpness = take(interpolation, drawn(report_N, how.pop("examples")))
        sharpness_M = measured_sharpness(top, states[last], finite[last], of_sharpness, how)
    return Connections(
        family=family,
        members=networks.members,
        steps=networks.steps,
        shares_G=shares,
        in_domain=in_domain.name,
        interpolation=interpolation.name,
        interpolation_positions_N=of_paths.positions_N,
        data=known_data(*data_sets.values(), interpolation),
        loss_PGN={
            step: path_losses(states[step], finite[step], of_paths) for step in networks.steps
        },
        distance_P={
            step: np.array([distance(*pair) for pair in combinations(states[step].values(), 2)])
            for step in networks.steps
        },
        logits_MNC=logits_MNC,
        positions_N=positions_N,
        diagnostics=tuple(examples.name for examples in diagnostics),
        path_losses_PGN={strategy.name: path_losses(states[last], finite[last], of_strategy)},
        path_positions_N={strategy.name: of_strategy.positions_N},
        planes=planes,
        sharpness_M=sharpness_M,
    )


def check_data_sets(data_sets: Sequence[Examples], model_classes: Sequence[str]) -> None:
    """InputError unless all have sentences, and one label each that the networks know."""
    for examples in data_sets:
        if not examples.sentences:
            raise InputError(
                f"data set {examples.name!r} has no sentences: name one of sentences, or one of "
                f"labels with `sentences`"
            )
        if examples.labels.ndim != 1:
            raise InputError(
                f"data set {examples.name!r} has several labels an example: name one with a single "
                f"class each"
            )
        class_columns(model_classes, examples.classes, f"data set {examples.name!r}")


def strategy_positions(diagnostics: Sequence[Examples], data: str, group: str) -> np.ndarray:
    """Where the report examples of a group of a diagnostic set are in it."""
    by_name = {examples.name: examples for examples in diagnostics}
    if data not in by_name:
        raise InputError(
            f"`strategy` is of the data set {data!r}, which is not among `diagnostics` "
            f"({', '.join(by_name) or 'none'}): name one of them"
        )
    examples = by_name[data]
    report_N = examples.where("report")
    groups_N = np.array(examples.groups or [""] * len(examples.ids))[report_N]
    if group not in groups_N:
        raise InputError(
            f"data set {data!r} has no group {group!r} in split report: name one of "
            f"{', '.join(map(repr, sorted({*groups_N.tolist()} - {''}))) or 'another data set'} in "
            f"`strategy`"
        )
    return report_N[groups_N == group]


def finite_states(states: Mapping[str, State], step: int) -> dict[str, State]:
    """The states whose weights are numbers, with a warning of each other one."""
    finite = {name: state for name, state in states.items() if is_finite(state)}
    for name in states.keys() - finite.keys():
        log.warning(
            "%s diverged by step %d: nothing is measured of it; lower `learning_rate`", name, step
        )
    return finite


def end_logits(
    model: nn.Module, states: Mapping[str, State], finite: Mapping[str, State], of: Sentences
) -> np.ndarray:
    """Logits [M, N, C] of all networks; NaN of those that are not finite."""
    shape = len(states), len(of.positions_N), len(of.examples.classes)
    logits_MNC = np.full(shape, np.nan, np.float32)
    for row_NC, name in zip(logits_MNC, states, strict=True):
        if name in finite:
            load_(model, states[name])
            row_NC[:] = predictions(of, model).numpy()
    return logits_MNC


def losses_of_pairs(
    model: nn.Module,
    shares: np.ndarray,
    states: Mapping[str, State],
    finite: Mapping[str, State],
    of: Sentences,
) -> np.ndarray:
    """Losses [P, G, N] between all pairs; NaN of those with a network that is not finite."""
    measured_P = [set(pair) <= finite.keys() for pair in combinations(states, 2)]
    pairs = [*combinations(finite, 2)]
    loss_PGN = np.full((len(measured_P), len(shares), len(of.positions_N)), np.nan, np.float32)
    if pairs:
        loss_PGN[measured_P] = losses_along(model, finite, pairs, shares, partial(losses, of))
    return loss_PGN


def measured_planes(
    model: nn.Module,
    finite: Mapping[str, State],
    accuracy: Mapping[str, float],
    of: Sentences,
    n_points: int,
) -> dict[str, Plane]:
    """The planes of `planes_of`, with the loss at n_points x n_points of each."""
    planes = {}
    for name, three in planes_of({member: accuracy[member] for member in finite}).items():
        states = {member: finite[member] for member in three}
        found = plane(model, states, partial(losses, of), n_points)
        planes[name] = Plane(three, **found._asdict())
    return planes


def measured_sharpness(
    model: nn.Module,
    states: Mapping[str, State],
    finite: Mapping[str, State],
    of: Sentences,
    how: Mapping[str, Any],
) -> np.ndarray:
    """Sharpness [M] of all networks; NaN of those that are not finite."""
    parts = partial(loss_parts, of)
    return np.array(
        [
            sharpness(model, state, parts, **how) if name in finite else np.nan
            for name, state in progress(states.items(), "sharpness", len(states))
        ]
    )


def accuracies(
    logits_MNC: np.ndarray, positions_N: np.ndarray, examples: Examples, group_N: np.ndarray
) -> np.ndarray:
    """Accuracy [M] on the examples at the positions `group_N`, from logits of more of them."""
    of_group = np.isin(positions_N, group_N)
    right_Mn = logits_MNC[:, of_group].argmax(axis=2) == examples.labels[positions_N[of_group]]
    return right_Mn.mean(axis=1)


def planes_of(accuracy: Mapping[str, float]) -> dict[str, tuple[str, str, str]]:
    """Which three networks are on which plane, by their accuracies; of equals the first is better.

    "high": the three best, "low": the three worst, "mixed": the two best and the worst. Of three
    networks there is one plane alone, of fewer none.
    """
    ranked = sorted(accuracy, key=accuracy.__getitem__, reverse=True)
    if len(ranked) < ON_A_PLANE:
        log.warning("planes need three networks, and there are %d: they are left out", len(ranked))
        return {}
    mixed = {"mixed": (*ranked[:2], ranked[-1])}
    if len(ranked) == ON_A_PLANE:
        return mixed
    return {"high": tuple(ranked[:3]), "low": tuple(ranked[:-4:-1]), **mixed}
