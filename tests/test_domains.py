import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissent.commandline import InputError
from dissent.domains import domains, in_turns, leave_out
from dissent.examples import Examples

SPLITS = ("train", "train", "tune", "report", "unused")


@pytest.fixture
def examples():
    """Of each of three domains, mixed: two classes, each in train twice and in others once."""
    rows = [(d, c, s) for d in ("sea", "air", "land") for c in range(2) for s in SPLITS]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    rows.sort(key=lambda row: row != ("sea", 0, "tune"))
    groups, labels, splits = zip(*rows, strict=True)
    return Examples(
        name="mixed",
        ids=tuple(map(str, range(len(rows)))),
        images_NHW=None,
        labels=np.array(labels),
        splits_N=np.array(splits),
        classes=("cat", "dog"),
        groups=groups,
    )


def test_domains_are_in_order_of_first_appearance(examples):
    expected = []
    for group in examples.groups:
        if group not in expected:
            expected.append(group)
    assert domains(examples) == tuple(expected)
    assert expected[0] == "sea"


@pytest.mark.parametrize("domain", ["sea", "air", "land"])
def test_a_domain_is_unseen_and_the_splits_of_others_are_seen(examples, domain):
    held_out = leave_out(examples, domain)
    others = [name for name in domains(examples) if name != domain]
    assert held_out.domain == domain
    rows = list(enumerate(zip(examples.groups, examples.splits_N, strict=True)))
    for split in ("train", "tune", "report"):
        of_split = getattr(held_out, split)
        assert list(of_split) == others
        for other in others:
            assert of_split[other].tolist() == [i for i, row in rows if row == (other, split)]
    expected = [i for i, (group, split) in rows if group == domain and split != "unused"]
    assert held_out.unseen.tolist() == expected
    assert len(expected) == 8


def change(examples, rule):
    """Put into other splits what a rule of domain, class and split says."""
    rows = zip(examples.groups, examples.labels.tolist(), examples.splits_N, strict=True)
    return dataclasses.replace(
        examples,
        splits_N=np.array([rule.get((d, c, s)) or rule.get((d, s)) or s for d, c, s in rows]),
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (("land", "train"), "domain 'land' has no example in train: add images"),
        (("air", "tune"), "domain 'air' has no example in tune: add images"),
        (("air", "report"), "domain 'air' has no example in report: add images"),
        (("land", 1, "train"), "domain 'land' has no example of class 'dog' in train: add images"),
    ],
)
def test_what_training_needs_of_each_domain_is_named(examples, rule, message):
    changed = change(examples, {rule: "unused"})
    with pytest.raises(InputError, match=f"data set 'mixed': {message}"):
        leave_out(changed, "sea")
    # Of the domain that is held out, no split is needed.
    assert leave_out(changed, rule[0]).unseen.size


def test_a_domain_without_used_examples_cannot_be_held_out(examples):
    rule = {("sea", split): "unused" for split in ("train", "tune", "report")}
    with pytest.raises(InputError, match="no example of domain 'sea' is in any split: raise"):
        leave_out(change(examples, rule), "sea")


def test_domains_that_are_not_there_are_named(examples):
    with pytest.raises(InputError, match="has no domain 'moon': name one of sea, "):
        leave_out(examples, "moon")
    with pytest.raises(InputError, match="'mixed' has no domains: name one of kind"):
        domains(dataclasses.replace(examples, groups=()))
    one = dataclasses.replace(examples, groups=("sea",) * len(examples.ids))
    with pytest.raises(InputError, match="'mixed' has one domain, 'sea', alone: name one of kind"):
        leave_out(one, "sea")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 5))
def test_every_stretch_has_the_classes_in_the_shares_of_the_whole(labels, seed):
    labels_N = np.array(labels)
    order = in_turns(labels_N, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(labels)))
    classes = len(set(labels))
    for label in set(labels):
        share = labels.count(label) / len(labels)
        found = np.cumsum(labels_N[order] == label)
        expected = share * np.arange(1, len(labels) + 1)
        # Half an example, and what the rounding of all classes adds to the length of a stretch.
        assert np.abs(found - expected).max() <= 0.5 + share * classes


def test_classes_of_the_same_size_take_turns_in_a_random_order():
    labels_N = np.repeat([2, 0, 1], 40)
    orders = [in_turns(labels_N, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    for order in orders:
        np.testing.assert_array_equal(labels_N[order], np.tile([0, 1, 2], 40))
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()
