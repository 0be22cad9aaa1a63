"""The one training loop that every framework shares."""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from dissent.progress import progress

WARM_UP_SHARE = 0.1
GRADIENT_NORM = 1.0


def optimise(
    parameters: Iterable[nn.Parameter],
    loss_of: Callable[[torch.Tensor], torch.Tensor],
    n_examples: int,
    generator: torch.Generator,
    *,
    steps: int,
    batch_size: int,
    optimizer: str,
    learning_rate: float,
    weight_decay: float,
    schedule: str,
    description: str,
) -> None:
    """Minimise `loss_of(positions [batch])` over shuffled batches of positions 0..n_examples-1.

    The rate rises linearly over the first tenth of the steps; `schedule` cosine then takes it to
    zero, constant keeps it.
    """
    parameters = list(parameters)
    if optimizer == "adamw":
        stepper = torch.optim.AdamW(
            parameters, lr=learning_rate, weight_decay=weight_decay, fused=True
        )
    else:
        stepper = torch.optim.SGD(
            parameters,
            lr=learning_rate,
            weight_decay=weight_decay,
            momentum=0.9,
            nesterov=True,
            fused=True,
        )
    rate = torch.optim.lr_scheduler.LambdaLR(stepper, lambda step: factor(step, steps, schedule))
    batches = shuffled_batches(n_examples, batch_size, generator)
    for _ in progress(range(steps), description):
        stepper.zero_grad()
        loss_of(next(batches)).backward()
        nn.utils.clip_grad_norm_(parameters, GRADIENT_NORM)
        stepper.step()
        rate.step()


def factor(step: int, steps: int, schedule: str) -> float:
    """Learning rate at `step` as a share of the peak."""
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    if schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) / 2


def shuffled_batches(
    n_examples: int, batch_size: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Endless batches of positions; every example is seen once before any is seen again."""
    waiting = torch.empty(0, dtype=torch.long)
    while True:
        while len(waiting) < batch_size:
            waiting = torch.cat([waiting, torch.randperm(n_examples, generator=generator)])
        yield waiting[:batch_size]
        waiting = waiting[batch_size:]


def checkpoint_steps(steps: int, checkpoints: int) -> list[int]:
    """The steps after which a run is evaluated."""
    return [round(steps * (i + 1) / checkpoints) for i in range(checkpoints)]
