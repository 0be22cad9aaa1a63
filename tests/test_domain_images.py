import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from dissent import datasets, domain_images
from dissent.commandline import InputError

SPLITS = {"train": 30, "tune": 8, "report": 22}
DOMAINS = ("handwritten", "printed", "sketched", "textured")
# A white square on black: the 16 pixels around it are ground.
SQUARE = Image.new("L", (64, 64))
SQUARE.paste(255, (16, 16, 48, 48))
SQUARE_NN = np.asarray(SQUARE) > 0
# Grounds are float32.
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def domains():
    return domain_images.domains(0, 32, SPLITS)


def looks(look, seeds=range(30)):
    """Pictures [30, 64, 64] of the square."""
    return np.stack([look(SQUARE, 64, np.random.default_rng(seed)) for seed in seeds])


@pytest.mark.parametrize("kind", domain_images.SOURCES)
def test_images_depend_on_the_seed_alone_and_splits_are_balanced(kind):
    make = getattr(domain_images, kind)
    first, again, other = (make(seed, 20, SPLITS) for seed in (2, 2, 3))
    for field in ("images_NHW", "labels", "splits_N"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert first.images_NHW.dtype == np.uint8
    assert first.images_NHW.shape == (len(first.ids), 20, 20)
    assert (first.images_NHW != other.images_NHW).any(axis=(1, 2)).mean() > 0.99
    assert not set(first.ids) & set(other.ids)
    assert len(set(first.ids)) == len(first.labels) == len(first.splits_N)
    # No picture is of one grey.
    assert (np.ptp(first.images_NHW, axis=(1, 2)) > 40).all()
    for split in SPLITS:
        counts_C = np.bincount(first.labels[first.where(split)], minlength=len(first.classes))
        assert np.ptp(counts_C) <= len(set(first.groups or "x"))


def test_splits_are_of_each_domain_and_classes_take_turns(domains):
    assert tuple(dict.fromkeys(domains.groups)) == DOMAINS
    groups_N = np.array(domains.groups)
    for domain in DOMAINS:
        for split, n in SPLITS.items():
            labels = domains.labels[(groups_N == domain) & (domains.splits_N == split)]
            assert len(labels) == n
            for end in range(1, n + 1):
                assert np.ptp(np.bincount(labels[:end], minlength=10)) <= 1
    assert [name.split("-")[2] for name in domains.ids] == list(domains.groups)
    assert domains.ids[groups_N.tolist().index("printed") + 7] == "domains-0-printed-0007"


def scans_of(examples):
    names = (name.rsplit("-", 2) for name in examples.ids)
    return [int(number) for _, domain, number in names if domain == "handwritten"]


def test_the_handwritten_are_the_scans_that_their_ids_number(domains):
    numbers = scans_of(domains)
    scans = load_digits()
    np.testing.assert_array_equal(domains.labels[: len(numbers)], scans.target[numbers])
    expected = datasets.enlarge((scans.images[numbers] * 255 / 16).round().astype(np.uint8), 32)
    np.testing.assert_array_equal(domains.images_NHW[: len(numbers)], expected)


def test_even_and_odd_seeds_have_no_scan_in_common():
    targets = load_digits().target
    halves = [domain_images._half_of_scans(seed, targets) for seed in (0, 1, 2, 3)]
    assert sorted([*halves[0], *halves[1]]) == list(range(1797))
    assert min(map(len, halves)) >= domain_images.MOST_OF_A_DOMAIN
    for first, second in ((0, 2), (1, 3)):
        assert set(halves[first]) == set(halves[second])
        assert (halves[first] != halves[second]).any()
    counts_C = np.bincount(targets)
    for half in halves:
        np.testing.assert_allclose(np.bincount(targets[half]), counts_C / 2, atol=1)


def test_more_than_there_are_scans_for_are_refused():
    with pytest.raises(InputError, match="ask for 891 images of each domain, and handwritten has"):
        domain_images.domains(0, 8, {"train": 800, "report": 91})


def test_no_font_is_in_two_domains(monkeypatch):
    seen = []
    monkeypatch.setattr(
        datasets, "draw_character", lambda _, font, rng: seen.append(font) or SQUARE
    )
    domain_images.domains(0, 8, {"train": 200})
    fonts = [set(seen[start : start + 200]) for start in (0, 200, 400)]
    assert sum(map(len, fonts)) == len(set().union(*fonts)) == len(datasets.TEXT_FONTS)
    for upright in (0, 1):
        assert not any("Italic" in font or "Oblique" in font for font in fonts[upright])


def test_printed_ones_are_dark_on_light():
    printed = looks(domain_images._printed)
    assert printed[:, ~SQUARE_NN].min() >= 0.65 - ROUNDING
    assert printed[:, SQUARE_NN].max() <= 0.25


def test_textured_ones_are_light_on_a_rough_ground():
    textured = looks(domain_images._textured)
    assert textured[:, ~SQUARE_NN].max() <= 0.65 + ROUNDING
    assert textured[:, SQUARE_NN].min() >= 0.75
    grounds = textured[:, ~SQUARE_NN]
    assert (grounds.std(axis=1) > 0.1).all()
    flips = looks(domain_images._textured_or_negative)
    light = flips[:, SQUARE_NN].mean(axis=1) > 0.5
    assert 5 < light.sum() < 25
    assert flips[~light][:, SQUARE_NN].max() <= 0.25
    assert flips[~light][:, ~SQUARE_NN].min() >= 0.35 - ROUNDING


def test_sketched_ones_are_dashes_of_the_outline():
    sketched = looks(domain_images._sketched)
    rim = SQUARE_NN.copy()
    rim[18:46, 18:46] = False
    assert not sketched[:, ~rim].any()
    assert set(np.unique(sketched)) == {0, 1}
    kept = sketched[:, rim].mean(axis=1)
    assert 0.6 < kept.mean() < 0.7
    assert kept.max() < 1


def test_faint_coarse_and_broken_ones_are_as_named():
    faint, coarse = looks(domain_images._faint), looks(domain_images._coarse, range(1))[0]
    assert faint[:, ~SQUARE_NN].max() <= 0.3 + ROUNDING
    assert faint[:, SQUARE_NN].min() >= 0.5
    # Pixels of eight by eight, the square's edges between them: grey for half a pixel around.
    assert set(np.unique(coarse[20:44, 20:44])) == {1}
    assert not coarse[:12].any()
    assert 0 < coarse[14, 32] < 0.5 < coarse[17, 32] < 1
    white = Image.new("L", (64, 64), 255)
    broken = domain_images._broken(white, 64, np.random.default_rng(0))
    assert broken.mean() == pytest.approx(0.65, abs=0.001)


def test_letters_have_each_look_in_its_share(monkeypatch):
    shares = dict(domain_images._LETTER_LOOKS)
    assert sum(shares.values()) == pytest.approx(1)
    seen = []

    def noted(look):
        return lambda glyph, *_: seen.append((look, glyph is SQUARE)) or np.zeros((8, 8))

    monkeypatch.setattr(
        domain_images, "_LETTER_LOOKS", {noted(look): share for look, share in shares.items()}
    )
    rng = np.random.default_rng(0)
    for _ in range(3000):
        domain_images._varied(SQUARE, 8, rng)
    found = {look: np.mean([one == look for one, _ in seen]) for look in shares}
    # Four standard errors of a share of a quarter.
    assert found == pytest.approx(shares, abs=0.032)
    assert np.mean([whole for _, whole in seen]) == pytest.approx(2 / 3, abs=0.035)


def test_plain_characters_are_the_glyphs_of_characters():
    varied = domain_images.characters(4, 32, {"train": 400})
    plain = domain_images.plain_characters(4, 32, {"train": 400})
    np.testing.assert_array_equal(varied.labels, plain.labels)
    assert varied.classes == plain.classes
    assert len(varied.classes) == 52
    same = (varied.images_NHW == plain.images_NHW).all(axis=(1, 2)).mean()
    # A fifth are plain, and of these two in three whole.
    assert 0.06 < same < 0.21
    assert (plain.images_NHW.max(axis=(1, 2)) > 200).all()
    assert (plain.images_NHW[:, 0, 0] < 50).all()
