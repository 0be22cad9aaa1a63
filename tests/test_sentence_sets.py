"""The data sets of sentences, against a reader that works out what a sentence says."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissent import hans
from dissent.commandline import InputError
from dissent.examples import read_examples, write_examples
from dissent.minimal_pairs import minimal_pairs
from dissent.overlap_heuristics import overlap_heuristics
from dissent.sentence_grammar import INTRANSITIVE, TRANSITIVE, Frame, fill
from dissent.sentence_pairs import sentence_pairs
from dissent.word_swaps import word_swaps

SPLITS = {"train": 1200, "tune": 301, "report": 400}
ACTIONS, STATES = set(TRANSITIVE), set(INTRANSITIVE)
PLACES = {"near", "behind", "beside", "by"}
TIMES = {"yesterday", "today", "recently", "sometimes"}
TRUE_CLAUSES, OPEN_CLAUSES = {"because", "since", "after", "although"}, {"if", "unless"}


class Reader:
    """What a sentence says, read word by word: facts such as ("helped", "doctor", "nurse")."""

    def __init__(self, sentence):
        self.words = sentence.replace(",", " ,").split()
        self.facts = set()
        said = self.sentence()
        assert not self.words, f"{sentence!r}: cannot read {self.words}"
        self.facts |= said

    def next(self, *options):
        if self.words and self.words[0] in options:
            return self.words.pop(0)
        return None

    def need(self, *options):
        word = self.next(*options)
        assert word, f"expected one of {options}: {self.words}"
        return word

    def sentence(self):
        opening = self.next(*TRUE_CLAUSES, *OPEN_CLAUSES)
        if opening:
            first = self.clause()
            self.need(",")
            second = self.clause()
            # "if" and "unless" say neither that the one clause is so nor the other.
            return first | second if opening in TRUE_CLAUSES else set()
        when = self.next(*TIMES)
        place = self.next(*PLACES)
        where = (place, self.persons()) if place else None
        if when or where:
            self.need(",")
        said = self.clause(where)
        when = when or self.next(*TIMES)
        said |= {(when, *fact) for fact in said} if when else set()
        joined = self.next("and", "or")
        if joined:
            other = self.clause()
            return said | other if joined == "and" else set()
        return said

    def noun(self):
        self.need("the")
        return self.words.pop(0)

    def persons(self):
        """One or two persons; what a phrase or clause tells of the last is so anyway."""
        found = [self.noun()]
        if self.words[:2] == ["and", "the"] and self.words[2:3] and not self.starts_clause():
            self.need("and")
            found.append(self.noun())
        place = self.next(*PLACES)
        if place:
            self.facts |= {(place, found[-1], self.noun())}
        if self.next("who"):
            self.facts |= self.predicate([found[-1]], inside=True)
        elif self.next("that"):
            subject = self.noun()
            self.facts |= {(self.need(*ACTIONS), subject, found[-1])}
        return tuple(found)

    def starts_clause(self):
        """Whether "and the X" begins a clause, rather than naming one more object."""
        return self.after_object and self.words[3:4] and self.words[3] in ACTIONS | STATES

    after_object = False

    def clause(self, where=None):
        self.after_object = False
        subjects = self.persons()
        if self.next("thought"):
            self.need("that")
            self.clause()
            return {("thought", subject) for subject in subjects}
        said = self.predicate(subjects, where)
        if self.words[:1] == ["and"] and self.words[1:2] != ["the"]:
            self.need("and")
            said |= self.predicate(subjects)
        return said

    def predicate(self, subjects, where=None, inside=False):
        if self.next("was"):
            verb = self.need(*ACTIONS)
            self.need("by")
            return {(verb, doer, subject) for doer in self.persons() for subject in subjects}
        verb = self.need(*ACTIONS, *STATES)
        if verb in STATES:
            place = self.next(*PLACES)
            if place:
                where = (place, (self.noun(),))
            at = {(verb, *where, subject) for subject in subjects} if where else set()
            return {(verb, subject) for subject in subjects} | at
        self.after_object = True
        objects = (self.noun(),) if inside else self.persons()
        return {(verb, subject, other) for subject in subjects for other in objects}


def entails(premise, hypothesis):
    return Reader(hypothesis).facts <= Reader(premise).facts


def words(sentence):
    return sentence.replace(",", "").split()


def covered(premise, hypothesis):
    return not Counter(words(hypothesis)) - Counter(words(premise))


def contiguous(premise, hypothesis):
    return f" {' '.join(words(hypothesis))} " in f" {' '.join(words(premise))} "


def is_clause(premise, hypothesis):
    """Whether a hypothesis is what stands between connectives, commas and ends of the premise."""
    marked = f" {premise.replace(',', ' |')} "
    for connective in (*TRUE_CLAUSES, *OPEN_CLAUSES, "thought that", "or"):
        marked = marked.replace(f" {connective} ", " | ")
    parts = [part.strip() for part in marked.split("|")]
    # "and" joins clauses only where both its sides are such.
    for part in list(parts):
        left, joined, right = part.partition(" and ")
        sides = [left.split(), right.split()]
        if joined and all(side[0] == "the" and set(side) & (ACTIONS | STATES) for side in sides):
            parts += [left, right]
    return hypothesis in parts


@pytest.mark.parametrize(
    ("premise", "hypothesis", "entailed"),
    [
        ("the doctor was helped by the nurse", "the nurse helped the doctor", True),
        ("the doctor was helped by the nurse", "the doctor helped the nurse", False),
        ("the doctor who helped the nurse slept", "the nurse slept", False),
        ("the doctor who helped the nurse slept", "the doctor slept", True),
        ("the doctor that the nurse helped slept", "the nurse helped the doctor", True),
        ("the doctor by the nurse slept", "the nurse slept", False),
        ("the doctor slept and the nurse helped the judge", "the nurse helped the judge", True),
        ("the doctor slept or the nurse helped the judge", "the nurse helped the judge", False),
        ("the doctor helped the nurse and the judge", "the doctor helped the judge", True),
        ("the doctor and the judge helped the nurse", "the doctor helped the judge", False),
        ("unless the doctor slept, the nurse ran", "the nurse ran", False),
        ("although the doctor slept, the nurse ran", "the nurse ran", True),
        ("the doctor thought that the nurse ran", "the nurse ran", False),
        ("near the nurse, the doctor ran", "the doctor ran near the nurse", True),
        ("near the nurse, the doctor ran", "the nurse ran near the doctor", False),
        ("today, the doctor helped the nurse", "the doctor helped the nurse today", True),
        ("the doctor slept and helped the nurse", "the doctor helped the nurse", True),
    ],
)
def test_the_reader_reads(premise, hypothesis, entailed):
    assert entails(premise, hypothesis) == entailed


@pytest.mark.parametrize(
    "made",
    [
        sentence_pairs(0, None, SPLITS, 0.2),
        overlap_heuristics(0, None, {"report": 600}),
        word_swaps(0, None, SPLITS),
    ],
    ids=lambda made: made.name,
)
def test_labels_say_whether_the_premise_entails_the_hypothesis(made):
    assert made.classes == ("entailment", "non-entailment")
    for pair, label in zip(made.sentences, made.labels, strict=True):
        assert entails(*pair) == (label == 0), pair


@settings(max_examples=25)
@given(
    n=st.integers(0, 150),
    breakers=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_groups_of_sentence_pairs_have_their_exact_shares(n, breakers, seed):
    made = sentence_pairs(seed, None, {"train": n, "report": 7}, breakers)
    for split, size in {"train": n, "report": 7}.items():
        in_split = np.flatnonzero(made.splits_N == split)
        assert len(in_split) == size
        count = Counter(made.groups[i] for i in in_split)
        assert abs(count["overlap misleads"] - breakers * size) <= 0.5
        assert abs(count["entailed"] - (1 - breakers) * size / 2) <= 0.75
        assert abs(count["entailed"] - count["new words"]) <= 1
    assert len(set(made.sentences)) == len(made.sentences) == n + 7


def test_overlap_of_sentence_pairs_is_full_or_lacks_one_to_three_words():
    made = sentence_pairs(0, None, SPLITS, 0.2)
    lacking, premises = Counter(), Counter()
    for (premise, hypothesis), group, id in zip(made.sentences, made.groups, made.ids, strict=True):
        new = set(words(hypothesis)) - set(words(premise))
        assert covered(premise, hypothesis) == (group != "new words")
        if group == "new words":
            lacking[len(new)] += 1
            premises[any(name in id for name in ("conjunction", "swap", "_or-"))] += 1
    assert set(lacking) == {1, 2, 3}
    assert abs(premises[True] - premises[False]) <= len(SPLITS)
    trained = {
        id.split("-")[2]
        for id, group in zip(made.ids, made.groups, strict=True)
        if group == "overlap misleads"
    }
    assert trained == {"conjunction", "swap", "or"}
    assert (
        len(
            {
                id.split("-")[2]
                for id, g in zip(made.ids, made.groups, strict=True)
                if g == "entailed"
            }
        )
        == 11
    )


def test_hypotheses_of_heuristics_overlap_as_their_groups_say():
    made = overlap_heuristics(0, None, {"report": 600})
    assert set(made.groups) == set(hans.hans(0, None, {"report": 30000}).groups)
    for pair, group, label in zip(made.sentences, made.groups, made.labels, strict=True):
        heuristic, name = group.split(", ")
        assert made.classes[label] == name
        found = (covered(*pair), contiguous(*pair), is_clause(*pair))
        assert (
            found
            == {
                "lexical overlap": (True, False, False),
                "subsequence": (True, True, False),
                "constituent": (True, True, True),
            }[heuristic]
        ), pair
    frames = {group: set() for group in made.groups}
    for id, group in zip(made.ids, made.groups, strict=True):
        frames[group].add(id.split("-")[2])
    assert set(map(len, frames.values())) == {5}


@pytest.mark.parametrize("n", [6, 600, 601, 605])
def test_groups_of_heuristics_have_equal_shares(n):
    count = Counter(overlap_heuristics(0, None, {"report": n}).groups)
    assert sum(count.values()) == n
    assert max(count.values()) - min(count.values()) == (n % 6 > 0)


def test_swapped_pairs_have_the_same_words_and_half_mean_the_same():
    made = word_swaps(0, None, SPLITS)
    for split, n in SPLITS.items():
        labels = made.labels[made.where(split)]
        assert (labels == 0).sum() == (n + 1) // 2
        groups = Counter(made.groups[i] for i in made.where(split))
        assert len(groups) == 8
        assert max(groups.values()) - min(groups.values()) <= 1
    for (first, second), group, label in zip(made.sentences, made.groups, made.labels, strict=True):
        assert group.endswith(f", {made.classes[label]}")
        left, right = Counter(words(first)), Counter(words(second))
        assert set((left - right) | (right - left)) <= {"was", "by"}
        # A paraphrase says what the sentence says, no more.
        assert (entails(first, second) and entails(second, first)) == (label == 0)


SINGULAR = {"king", "father", "brother", "son", "uncle", "boy"}
FEMININE = {"queen", "mother", "sister", "daughter", "aunt", "girl"}


def acceptable(sentence):
    """A small grammar with number and gender: a noun phrase, maybe in a place, and a predicate."""
    words = sentence.split()

    def noun_phrase():
        determiner = words.pop(0) if words and words[0] in ("the", "this", "these") else None
        noun = words.pop(0) if words and words[0] not in PLACES | ACTIONS | STATES else None
        if determiner is None or noun is None:
            return None
        plural = noun.endswith("s")
        if determiner != "the" and (determiner == "these") != plural:
            return None
        return noun

    subject = noun_phrase()
    if subject is None:
        return False
    if words and words[0] in PLACES:
        words.pop(0)
        if noun_phrase() is None:
            return False
    plural = subject.endswith("s")
    if words and words[0] in ("has", "have") and (words.pop(0) == "have") != plural:
        return False
    verb = words.pop(0) if words else None
    if verb in STATES:
        return not words or (words.pop(0) in PLACES and noun_phrase() is not None and not words)
    if verb not in ACTIONS:
        return False
    if words == ["themselves"]:
        return plural
    if words in (["himself"], ["herself"]):
        gender = FEMININE if words == ["herself"] else SINGULAR
        return subject in gender
    return noun_phrase() is not None and not words


@pytest.mark.parametrize(
    ("sentence", "good"),
    [
        ("the doctor near the kings has helped this nurse", True),
        ("the doctor near the kings have helped this nurse", False),
        ("the queens helped themselves", True),
        ("the queen helped himself", False),
        ("the doctor helped these nurse", False),
        ("the doctor the nurse helped", False),
        ("the doctor slept the nurse", False),
    ],
)
def test_the_grammar_accepts(sentence, good):
    assert acceptable(sentence) == good


def test_minimal_pairs_are_acceptable_or_not():
    made = minimal_pairs(0, None, {"train": 1000, "report": 700})
    assert made.classes == ("unacceptable", "acceptable")
    for (sentence,), label in zip(made.sentences, made.labels, strict=True):
        assert acceptable(sentence) == (label == 1), sentence
    assert len(set(made.sentences)) == 1700
    assert Counter(made.groups[i] for i in made.where("report")) == dict.fromkeys(made.groups, 100)


def test_twins_stand_together_and_differ_in_one_thing():
    made = minimal_pairs(3, None, {"train": 1000, "report": 700})
    assert made.labels.tolist() == [1, 0] * 850
    for at in range(0, 1700, 2):
        assert made.splits_N[at] == made.splits_N[at + 1]
        assert made.groups[at] == made.groups[at + 1]
        left, right = (Counter(made.sentences[i][0].split()) for i in (at, at + 1))
        changed = sorted(((left - right) + (right - left)).elements())
        assert len(changed) <= 2
        if made.groups[at] == "word order":
            assert not changed


def test_no_word_alone_tells_an_unacceptable_sentence():
    made = minimal_pairs(0, None, {"train": 2800})
    of_label = [
        {
            word
            for (sentence,), label in zip(made.sentences, made.labels, strict=True)
            if label == wanted
            for word in sentence.split()
        }
        for wanted in (0, 1)
    ]
    assert of_label[0] == of_label[1]


def make(kind, seed, splits):
    more = (0.1,) if kind is sentence_pairs else ()
    return kind(seed, None, splits, *more)


KINDS = (sentence_pairs, overlap_heuristics, word_swaps, minimal_pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_alone_tell_what_is_drawn(kind, tmp_path):
    splits = {"report": 300}
    made = [make(kind, seed, splits) for seed in (0, 0, 1)]
    for i, examples in enumerate(made):
        write_examples(tmp_path / str(i), examples)
    first, again, other = ((tmp_path / str(i)).read_bytes() for i in range(3))
    assert first == again != other
    assert len(set(made[0].sentences) & set(made[2].sentences)) < 50
    assert read_examples(tmp_path / "0").sentences == made[0].sentences
    assert made[0].ids[12].endswith("-00012")
    assert len(set(made[0].ids) | set(made[2].ids)) == 600
    assert made[0].images_NHW is None
    assert made[0].labels.dtype == np.int64


@pytest.mark.parametrize("kind", [sentence_pairs, word_swaps, minimal_pairs])
def test_splits_share_nothing_and_are_mixed(kind):
    splits = {"train": 1400, "tune": 700, "report": 700}
    made = make(kind, 0, splits)
    of_split = {name: [made.sentences[i] for i in made.where(name)] for name in splits}
    for name, n in splits.items():
        assert len(of_split[name]) == len(set(of_split[name])) == n
    for first, second in combinations(of_split.values(), 2):
        assert not set(first) & set(second)
    reordered = make(kind, 0, dict(reversed(splits.items())))
    assert reordered.sentences == made.sentences
    for wanted in (made.splits_N == "train", made.labels == 0):
        halves = np.array_split(wanted, 2)
        assert abs(halves[0].mean() - halves[1].mean()) < 0.08


@pytest.mark.parametrize(
    ("kind", "splits", "sentence"),
    [
        (sentence_pairs, {"train": 100000}, r"frame 'first_subject', and the grammar has 4416: lo"),
        (
            overlap_heuristics,
            {"report": 270000},
            "frame 'passive', and the grammar has 8832: lower",
        ),
        (overlap_heuristics, {"tune": 6, "report": 6}, "give `report` alone under `splits`, not"),
        (overlap_heuristics, {}, "give `report` alone under `splits`, not {}"),
        (word_swaps, {"tune": 150000}, "and the grammar has 8832: lower the sizes under `splits`"),
        (
            minimal_pairs,
            {"tune": 40000},
            "frame 'no_object', and the grammar has 2208: lower the s",
        ),
        (minimal_pairs, {"tune": 7}, "an even number under `splits`, not tune: 7"),
    ],
)
def test_what_the_grammar_cannot_give_is_refused(kind, splits, sentence):
    with pytest.raises(InputError, match=sentence) as refused:
        make(kind, 0, splits)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_breakers_are_a_share(share):
    with pytest.raises(InputError, match="`breakers` is a share of the pairs, from 0 to 1, not"):
        sentence_pairs(0, None, {"train": 10}, share)


def test_a_frame_gives_all_it_has():
    frame = Frame("swap", ("the {a} {v} the {b}", "the {b} {v} the {a}"))
    filled = fill([frame] * 8832, np.random.default_rng(0))
    assert len(set(filled)) == 24 * 23 * 16
    assert all(len(set(words(pair[0])) - {"the"}) == 3 for pair in filled)
