"""Small BERTs that were fine-tuned to three classes, as the hub has those of 2019."""

import io
import json
import random

import torch
from safetensors.torch import save
from transformers import BertConfig, BertForSequenceClassification

from small_text import WORDS, small_card, small_tokenizer

CLASSES = ("contradiction", "entailment", "neutral")
HEURISTICS = ("lexical_overlap", "subsequence", "constituent")


def bert(seed: int) -> BertForSequenceClassification:
    """One of several BERTs that differ somewhat."""
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(**small_card()["config"], num_labels=3))
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn_like(weight)
    return model.eval()


def on_the_hub(name: str, seed: int, pickled: bool) -> dict[str, bytes]:
    """Its files: without a tokenizer, and with a config that does not name the classes."""
    model, file = bert(seed), io.BytesIO()
    config = model.config.to_dict()
    config = {key: config[key] for key in config if key not in ("id2label", "label2id")}
    if pickled:
        torch.save(model.state_dict(), file)
    weights = file.getvalue() if pickled else save(model.state_dict())
    return {
        f"{name}/config.json": json.dumps(config).encode(),
        f"{name}/{'pytorch_model.bin' if pickled else 'model.safetensors'}": weights,
    }


def tokenizer_on_the_hub(name: str) -> dict[str, bytes]:
    return {f"{name}/tokenizer.json": small_tokenizer().to_str().encode()}


def mnli(n: int) -> str:
    """Pairs of sentences as GLUE's dev_matched.tsv has them, of the columns that matter."""
    rows = [["pairID", "genre", "sentence1", "sentence2", "gold_label"]]
    for i, (first, second) in enumerate(_pairs(n, 1)):
        rows.append([f"{i}n", 'fiction "or so', first, second, CLASSES[i % 3]])
    return "\n".join("\t".join(row) for row in rows) + "\n"


def hans(n: int) -> str:
    """Pairs of sentences as HANS has them, of the columns that matter."""
    rows = [["gold_label", "sentence1", "sentence2", "pairID", "heuristic"]]
    for i, (first, second) in enumerate(_pairs(n, 2)):
        label = "non-entailment" if i % 2 else "entailment"
        rows.append([label, first, second, f"ex{i}", HEURISTICS[i // 2 % 3]])
    return "\n".join("\t".join(row) for row in rows) + "\n"


def _pairs(n: int, seed: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    return [
        (" ".join(draw.choices(WORDS, k=6)), " ".join(draw.choices(WORDS, k=4))) for _ in range(n)
    ]
