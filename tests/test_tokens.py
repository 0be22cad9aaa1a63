import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from dissent.text_checkpoints import classifier, load_into, load_text
from dissent.tokens import Tokens, batches, collate, logits_of, predict, tokenise
from small_text import WORDS, small_card, small_text_checkpoint, small_tokenizer

PAIRS = (
    ("the doctor saw the king", "the king slept"),
    ("The King", "the king helped the unheard-of nurse near the lawyer"),
    ("a nurse ran", "ran"),
)


def by_transformers(sentences, **options):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=small_tokenizer(), pad_token="[PAD]", unk_token="[UNK]"
    )
    parts = [list(column) for column in zip(*sentences, strict=True)]
    return tokenizer(*parts, return_token_type_ids=True, **options)


@pytest.mark.parametrize("n_sentences", [1, 2])
def test_tokens_are_those_of_transformers(n_sentences):
    sentences = [pair[:n_sentences] for pair in PAIRS]
    tokens = tokenise(small_card(2), sentences)
    expected = by_transformers(sentences)
    assert [row.ids for row in tokens] == expected["input_ids"]
    assert [row.types for row in tokens] == expected["token_type_ids"]
    assert any(1 in row.ids for row in tokens) == (n_sentences == 2)
    padded = by_transformers(sentences, padding=True, return_tensors="pt")
    batch = collate(tokens)
    assert set(batch) == {"input_ids", "attention_mask", "token_type_ids"}
    for name, values in batch.items():
        assert torch.equal(values, padded[name])


def test_what_is_too_long_is_cut_with_a_warning(caplog):
    long = ("the king " * 30, "the nurse slept")
    tokens = tokenise(small_card(2), [long, PAIRS[0]])
    expected = by_transformers([long, PAIRS[0]], truncation="longest_first", max_length=40)
    assert [row.ids for row in tokens] == expected["input_ids"]
    assert len(tokens[0].ids) == 40
    assert caplog.messages == ["1 of 2 examples are cut to 40 tokens"]


def test_lengths_that_the_file_sets_do_not_count(caplog):
    tokenizer = small_tokenizer()
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=30)
    card = {**small_card(2), "tokenizer": tokenizer.to_str()}
    assert tokenise(card, PAIRS) == tokenise(small_card(2), PAIRS)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("changed", "longest", "has_types", "pad"),
    [
        ({"model_type": "roberta", "pad_token_id": 1, "type_vocab_size": 1}, 38, False, 1),
        ({"model_type": "distilbert", "type_vocab_size": None}, 40, False, 0),
        ({"pad_token_id": None, "max_position_embeddings": None}, 64, True, 0),
    ],
)
def test_models_take_what_their_config_says(changed, longest, has_types, pad):
    card = small_card(2)
    card["config"] |= changed
    (row,) = tokenise(card, [("the king " * 30, "ran")])
    assert (len(row.ids) == longest) and (row.types is not None) == has_types and row.pad == pad
    assert ("token_type_ids" in collate([row])) == has_types


def test_a_row_is_filled_with_the_models_own_padding():
    batch = collate([Tokens([5, 6, 7], None, 9), Tokens([5], None, 9)])
    assert batch["input_ids"].tolist() == [[5, 6, 7], [5, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 8))
def test_batches_hold_every_example_once_among_those_of_its_length(lengths, size):
    tokens = [Tokens([at] * length, [0] * length, 99) for at, length in enumerate(lengths)]
    made = batches(tokens, size)
    positions = np.concatenate([where for where, _ in made])
    # Examples of one length stay in their order.
    assert positions.tolist() == sorted(range(len(tokens)), key=lambda at: (lengths[at], at))
    assert all(len(where) == size for where, _ in made[:-1])
    for where, batch in made:
        assert batch["input_ids"].shape == (len(where), max(lengths[at] for at in where))
        for at, ids, mask in zip(
            where, *map(batch.get, ("input_ids", "attention_mask")), strict=True
        ):
            assert ids[mask == 1].tolist() == [at] * lengths[at]


def test_predictions_are_those_of_each_example_alone(tmp_path):
    weights, card = load_text(small_text_checkpoint(tmp_path / "m.safetensors", n_classes=3))
    model = classifier(card)
    load_into(model, weights)
    rng = np.random.default_rng(0)
    sentences = [
        tuple(" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in "ab") for _ in range(23)
    ]
    tokens = tokenise(card, sentences)
    # With dropout, were it on, no two calls would agree.
    model.train()
    logits_NK = predict(model, batches(tokens, 4), len(tokens))
    assert logits_NK.dtype == torch.float32 and logits_NK.shape == (23, 3)
    model.eval()
    with torch.inference_mode():
        alone = torch.cat([model(**collate([row])).logits for row in tokens])
    torch.testing.assert_close(logits_NK, alone, rtol=1e-4, atol=1e-5)
    assert alone.std(dim=0).min() > 0.01


def test_a_model_may_return_its_logits_bare():
    bare = torch.nn.Module()
    bare.forward = lambda x: 2 * x
    assert logits_of(bare, {"x": torch.ones(2, 3)}).sum() == 12
