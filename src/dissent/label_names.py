"""From what a model calls its classes to what a data set calls its own, by name alone.

Orders differ: of the same three classes some models put entailment first, others contradiction.
"""

import re
from collections.abc import Sequence

import torch

from dissent.commandline import InputError

NEGATION = re.compile(r"(?:non|not)[-_ ]+")


def class_columns(
    model_classes: Sequence[str], data_classes: Sequence[str], data: str = "data set"
) -> list[list[int]]:
    """For each class of a data set, the model's classes (their positions) that mean it.

    That is the class of the same name, whatever its case; or, for a class `non-x` (`not x`,
    `not_x`) that the model does not have, all its classes but `x`. Raises InputError for a class
    that the model has not, or has twice; `data` is what it calls the data set.
    """
    known = [_plain(name) for name in model_classes]
    columns = []
    for name in map(_plain, data_classes):
        fitting = [k for k, other in enumerate(known) if other == name]
        negated = NEGATION.match(name)
        if negated and not fitting and known.count(name[negated.end() :]) == 1:
            fitting = [k for k, other in enumerate(known) if other != name[negated.end() :]]
        elif len(fitting) > 1:
            fitting = []
        if not fitting:
            raise InputError(
                f"the model's classes {_listed(model_classes)} do not fit {_listed(data_classes)} "
                f"of {data}: name them alike, in `id2label` of the model's config.json or in "
                f"`classes` of the data set"
            )
        columns.append(fitting)
    return columns


def to_classes(
    logits_NK: torch.Tensor,
    model_classes: Sequence[str],
    data_classes: Sequence[str],
    data: str = "data set",
) -> torch.Tensor:
    """Logits [N, C] of a data set's classes, from those [N, K] of a model's classes.

    Where several of the model's classes mean one, as contradiction and neutral mean
    non-entailment, its logit is the largest of theirs, as in the paper's code (arXiv 2205.12411).
    Raises InputError as `class_columns`.
    """
    columns = class_columns(model_classes, data_classes, data)
    return torch.stack([logits_NK[:, of].amax(dim=1) for of in columns], dim=1)


def _plain(name: str) -> str:
    """A name as it is compared: in lower case, and `non-` for every spelling of a negation."""
    return NEGATION.sub("non-", name.strip().casefold(), count=1)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
