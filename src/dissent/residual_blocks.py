"""The last residual blocks of a network, and what they put out."""

from collections.abc import Sequence

import torch
from torch import nn

from dissent.commandline import InputError


def residual_blocks(model: nn.Module, architecture: str, count: int) -> list[nn.Module]:
    """The last `count` residual blocks of a timm model whose stages are sequences of such blocks.

    A residual block is one that says what its shortcut is: `downsample`, which is None where the
    shortcut is the identity. Raises InputError if there are fewer.
    """
    stages = [model.get_submodule(stage["module"]) for stage in getattr(model, "feature_info", [])]
    blocks = [
        block
        for stage in stages
        if isinstance(stage, nn.Sequential)
        for block in stage.children()
        if hasattr(block, "downsample")
    ]
    if not blocks:
        raise InputError(
            f"architecture {architecture!r} has no residual blocks that we can find: start from a "
            f"ResNet, or leave out `linear`"
        )
    if len(blocks) < count:
        raise InputError(
            f"`linear.blocks` asks for {count} residual blocks, but architecture {architecture!r} "
            f"has {len(blocks)}: lower it"
        )
    return blocks[-count:]


def block_outputs(
    model: nn.Module, blocks: Sequence[nn.Module], inputs: torch.Tensor
) -> torch.Tensor:
    """Pooled outputs [N, K, D] of blocks that follow each other, the last of which is the model's.

    Outputs of another width pass the shortcuts of the blocks that follow.
    """
    outputs: list[torch.Tensor] = []
    hooks = [
        block.register_forward_hook(lambda _block, _inputs, output: outputs.append(output))
        for block in blocks
    ]
    try:
        model.forward_features(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    pooled = []
    for i, output in enumerate(outputs):
        for later in blocks[i + 1 :]:
            if later.downsample is not None:
                output = later.downsample(output)
        pooled.append(model.forward_head(output, pre_logits=True))
    return torch.stack(pooled, dim=1)
