"""Small transformers with random weights that know the words of the generated sentences."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from dissent.text_checkpoints import TextCard, classifier, load_text, save_text

_TEXT = """
    the a and or was by near behind with who that because since if unless , .
    doctor lawyer actor author banker artist student teacher judge senator tourist manager
    scientist secretary professor athlete president soldier king queen driver farmer nurse singer
    helped saw called thanked followed visited avoided admired believed supported recognized
    stopped mentioned advised encouraged contacted
    slept danced ran arrived laughed waited shouted escaped
"""
WORDS = _TEXT.split()
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
CLASSES = {
    2: ["entailment", "non-entailment"],
    3: ["entailment", "neutral", "contradiction"],
}


def small_tokenizer() -> Tokenizer:
    """One token a word, in lower case; [CLS] one [SEP] and [CLS] one [SEP] other [SEP]."""
    ids = {word: at for at, word in enumerate([*SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(ids, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, ids[name]) for name in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def small_card(n_classes: int | None = None, layers: int = 3) -> TextCard:
    """The card of a BERT of width 16 with two heads; without `n_classes`, without a classifier."""
    config = {
        "model_type": "bert",
        "vocab_size": len(SPECIAL) + len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 40,
        "type_vocab_size": 2,
        "pad_token_id": 0,
        # So wide that untrained models differ in what they say.
        "initializer_range": 0.2,
    }
    classes = CLASSES.get(n_classes or 0, [f"class {label}" for label in range(n_classes or 0)])
    return TextCard(
        kind="text", config=config, tokenizer=small_tokenizer().to_str(), classes=list(classes)
    )


def small_text_checkpoint(
    path: Path, seed: int = 0, n_classes: int | None = None, layers: int = 3
) -> Path:
    """Write a text checkpoint of a small BERT; with `n_classes`, as if it was fine-tuned."""
    card = small_card(n_classes, layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        weights = classifier(card, n_classes or 2).state_dict()
    if not n_classes:
        weights = {name: tensor for name, tensor in weights.items() if name.startswith("bert.")}
    save_text(path, weights, card)
    return path


def small_folder(folder: Path, seed: int = 0, n_classes: int | None = None) -> Path:
    """The same as a folder that transformers could have written."""
    folder.mkdir(parents=True)
    checkpoint = small_text_checkpoint(folder / "model.safetensors", seed, n_classes)
    weights, card = load_text(checkpoint)
    labels = dict(enumerate(card["classes"]))
    (folder / "config.json").write_text(json.dumps(card["config"] | {"id2label": labels}))
    (folder / "tokenizer.json").write_text(card["tokenizer"])
    save_file(weights, checkpoint, {"format": "pt"})
    return folder
