"""Time caching logits of encoded images against the bare forward passes, in one run."""

import argparse
import io
import logging
import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from pairs import timed
from PIL import Image

from dissent import logit_parts
from dissent.commandline import parser, run
from dissent.determinism import use
from dissent.encoded_images import by_label, images_beside, write_images
from dissent.examples import Examples, write_examples
from dissent.gpu_slots import device_for
from dissent.image_shards import Encoded
from dissent.image_views import Views, view_of
from dissent.logit_cache import AUTOCAST, Member, cache_together, forward
from dissent.logits import Key, of_examples

log = logging.getLogger("dissent")
# Of equal view, as the models of one job of the paper run are.
NAMES = ("resnet50.tv_in1k", "resnet101.tv_in1k", "dla34.in1k")
ROUNDS = 3
SIDES = (375, 500)  # of a usual image of ImageNet


def main(arguments: argparse.Namespace) -> None:
    device = device_for(arguments.gpus)
    use(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        logit_parts.FOLDER = Path(name, "parts")
        data = Path(name, "data.safetensors")
        found = write_images(images_beside(data), pictures(arguments.images))
        examples = by_label("bench", found, [str(i) for i in range(1000)], {}, 0)
        write_examples(data, examples)
        members = [member(name, examples, arguments, device) for name in NAMES]
        views = Views(images_beside(data), examples.spans_N2, examples.ids, [members[0].view])
        decoding, decoded = timed(1, lambda: torch.stack([views[i][0] for i in range(len(views))]))
        batches = [batch.to(device) for batch in decoded.split(arguments.batch_size)]
        bare_passes(members, batches[:1])
        outputs = [Path(name, f"{member.name}.safetensors") for member in members]
        workers = arguments.threads if arguments.gpus else 0
        settings = (device, arguments.batch_size, workers, False)
        bare = ours = math.inf
        # In turns, as a machine's speed changes while they run.
        for _ in range(ROUNDS):
            bare = min(bare, timed(1, bare_passes, members, batches)[0])
            seconds, parts = timed(1, cache_together, members, examples, data, outputs, *settings)
            ours = min(ours, seconds)
            shutil.rmtree(parts)
    n = arguments.images * len(members)
    log.info(
        "logits of %d models on %d images of %d x %d pixels, %s, %s, %d threads: %.1f s, %.0f"
        " images/s (decoding once took %.1f s); the forward passes alone, of decoded batches in"
        " memory: %.1f s, %.0f images/s; ratio %.2f (bar: 0.9)",
        *(len(members), arguments.images, *SIDES, where(device), arguments.precision),
        *(arguments.threads, ours, n / ours, decoding, bare, n / bare, bare / ours),
    )


def where(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else f"CPU of {os.cpu_count()}"


def pictures(n: int) -> list[Encoded]:
    """Images of the size and weight that ImageNet's have: some 100 kB of JPEG each."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        rough = rng.integers(0, 256, (SIDES[0] // 6, SIDES[1] // 6, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(rough).resize(SIDES[::-1], Image.Resampling.BICUBIC).save(
            file, "JPEG", quality=92
        )
        found.append(Encoded(f"{i}.jpg", file.getvalue(), str(i % 1000)))
    return found


def member(
    name: str, examples: Examples, arguments: argparse.Namespace, device: torch.device
) -> Member:
    """A model with weights of no training, which make no difference to its speed."""
    torch.manual_seed(0)
    known = timm.get_pretrained_cfg(name)
    view = view_of(known)
    key = Key(
        weights_sha256=name,
        preprocessing={},
        **of_examples(examples),
        label_map=list(examples.classes),
        output="logits",
        libraries={},
        precision=arguments.precision,
    )
    model = timm.create_model(name).eval().to(device)
    columns_C = list(range(1000))
    mean, std = list(known.mean), list(known.std)
    return Member(name, model, view, mean, std, columns_C, key, arguments.batch_size)


def bare_passes(members: list[Member], batches: list[torch.Tensor]) -> None:
    for each in members:
        for batch in batches:
            forward(each, batch)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=64)
    arguments.add_argument("--batch-size", type=int, default=32)
    arguments.add_argument("--precision", default="float32", choices=["float32", *AUTOCAST])
    arguments.add_argument("--gpus", type=int, default=0, choices=[0, 1])
    arguments.add_argument("--threads", type=int, default=2)
    run(main, arguments.parse_args())
