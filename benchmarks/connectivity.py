"""Time losses on paths between fine-tuned text classifiers against the usual way, in one run."""

import argparse
import copy
import json
import logging
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from pairs import timed
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from dissent import hub
from dissent.commandline import InputError, parser, run
from dissent.determinism import use
from dissent.examples import Examples
from dissent.files import sha256
from dissent.frozen_layers import top_of
from dissent.sentence_pairs import sentence_pairs
from dissent.text_checkpoints import TextCard, classifier, save_text
from dissent.text_connections import losses_of_pairs
from dissent.text_families import Family, write_family
from dissent.text_losses import sentences
from dissent.text_networks import fine_tuned_networks
from dissent.tokens import collate, logits_of, tokenise

log = logging.getLogger("dissent")
# Of all-MiniLM-L6-v2. Only its config and tokeniser are used, as no weight makes a difference.
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, FROZEN = 4, 2
POINTS = 10
LONGEST = 128  # what the usual way pads to
BATCH = 256


def main(arguments: argparse.Namespace) -> None:
    use(1)
    n_examples, n_members, n_pairs = arguments.examples, arguments.members, arguments.pairs
    examples = sentence_pairs(0, None, {"report": n_examples}, 0.3)
    with tempfile.TemporaryDirectory() as name:
        card = minilm_card(examples.classes)
        members = write_members(Path(name), card, n_members)
        fast, (found_PGN, distinct) = timed(1, ours, Path(name), examples)
        pairs = [*combinations(members, 2)]
        slow, expected_PGN = timed(1, usual, card, pairs[:n_pairs], examples)
    np.testing.assert_allclose(found_PGN[:n_pairs], expected_PGN, rtol=1e-3, atol=1e-5)
    slow *= len(pairs) / n_pairs
    log.info(
        "losses of %d examples at %d points between %d networks of MiniLM's first %d layers, %d of"
        " them frozen, %d evaluations, one thread: %.1f s; each pair loaded, mixed on a copy,"
        " padded to %d and with its ends, with equal losses, scaled from %d of %d pairs: %.0f s;"
        " ratio %.1f (bar: 5)",
        *(n_examples, POINTS, n_members, LAYERS, FROZEN, distinct, fast),
        *(LONGEST, n_pairs, len(pairs), slow, slow / fast),
    )


def minilm_card(classes: tuple[str, ...]) -> TextCard:
    package = hub.packaged(WEIGHTS)
    if package is None:
        raise InputError("no package with all-MiniLM-L6-v2 is installed: run 'make environment'")
    config = json.loads((package.folder / hub.CONFIG).read_text())
    tokenizer = (package.folder / hub.TOKENIZER).read_text()
    return TextCard(kind="text", config=config, tokenizer=tokenizer, classes=list(classes))


def write_members(folder: Path, card: TextCard, n_members: int) -> list[Path]:
    """A start, its family as the library keeps it, and each network whole in a file of its own."""
    torch.manual_seed(0)
    start = classifier(card, layers=LAYERS)
    encoder = {n: w for n, w in classifier(card).state_dict().items() if n.startswith("bert.")}
    encoder |= {n: w for n, w in start.state_dict().items() if n.startswith("bert.")}
    save_text(folder / "start.safetensors", encoder, card)
    frozen = ("bert.embeddings.", *(f"bert.encoder.layer.{i}." for i in range(FROZEN)))
    paths, states = [], {}
    for m in range(n_members):
        network = copy.deepcopy(start)
        trained = {n: w for n, w in network.named_parameters() if not n.startswith(frozen)}
        for weight in trained.values():
            weight.data += 0.02 * torch.randn_like(weight)
        paths.append(folder / f"m{m}.safetensors")
        save_file(network.state_dict(), paths[-1])
        states[f"m{m}", 1] = {n: weight.detach() for n, weight in trained.items()}
    family = Family(
        name="bench",
        start_sha256=sha256(folder / "start.safetensors"),
        layers=LAYERS,
        frozen_layers=FROZEN,
        classes=tuple(card["classes"]),
        ids_sha256="",
        content_sha256="",
        members=tuple({"model": f"m{m}", "head": 0, "order": m} for m in range(n_members)),
        steps=(1,),
        states=states,
    )
    write_family(folder / "family.safetensors", family)
    return paths


def ours(folder: Path, examples: Examples) -> tuple[np.ndarray, int]:
    """Losses [P, G, N] from the files, and how many networks were evaluated."""
    networks = fine_tuned_networks(folder / "start.safetensors", folder / "family.safetensors")
    of_paths = sentences(networks, BATCH, examples, examples.where("report"))
    top, states = top_of(networks.model, networks.frozen).eval(), networks.states[1]
    loss_PGN = losses_of_pairs(top, np.linspace(0, 1, POINTS), states, states, of_paths)
    return loss_PGN, len(networks.members) + len(loss_PGN) * (POINTS - 2)


@torch.inference_mode()
def usual(card: TextCard, pairs: list[tuple[Path, Path]], examples: Examples) -> np.ndarray:
    model = classifier(card, layers=LAYERS).eval()
    loss_PGN = []
    for pair in pairs:
        first, second = map(load_file, pair)
        rows = []
        for share in np.linspace(0, 1, POINTS):
            mixed = copy.deepcopy(model)
            mixed.load_state_dict(
                {n: (1 - share) * w + share * second[n] for n, w in first.items()}
            )
            rows.append(padded_losses(mixed, card, examples))
        loss_PGN.append(rows)
    return np.array(loss_PGN)


def padded_losses(model: nn.Module, card: TextCard, examples: Examples) -> np.ndarray:
    tokens = tokenise(card, examples.sentences)
    parts = []
    for start in range(0, len(tokens), BATCH):
        batch = collate(tokens[start : start + BATCH])
        blank = LONGEST - batch["input_ids"].shape[1]
        batch = {name: F.pad(tensor, (0, blank)) for name, tensor in batch.items()}
        labels = torch.from_numpy(examples.labels[start : start + BATCH])
        parts.append(F.cross_entropy(logits_of(model, batch), labels, reduction="none"))
    return torch.cat(parts).numpy()


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--members", type=int, default=4)
    arguments.add_argument("--examples", type=int, default=64)
    arguments.add_argument("--pairs", type=int, default=2, help="pairs the usual way is timed on")
    run(main, arguments.parse_args())
