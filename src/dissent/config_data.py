"""Data sets and files of predictions, as a run file describes them."""

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from dissent.config_types import SHA256, Distinct, Id, Positive, Section, Share, in_one_sentence

Kind = Literal[
    "handwritten",
    "glyphs",
    "letters",
    "hans",
    "labels",
    "digits",
    "photos",
    "fonts",
    "medium",
    "count",
    "rotation",
    "folder",
    "domains",
    "characters",
    "plain_characters",
    "domain_folder",
    "sentence_pairs",
    "overlap_heuristics",
    "word_swaps",
    "minimal_pairs",
    "images",
]
Split = Literal["train", "tune", "report"]
# Even and odd seeds of `domains` draw from different halves of the 1,797 scans.
MOST_SCANS = 890
DRAWN_DOMAINS = ("handwritten", "printed", "sketched", "textured")  # of `domains`


class Offer(NamedTuple):
    """What the data sets of a kind have."""

    classes: str
    multi_label: bool = False
    captions: bool = False
    images: bool = True
    grey: bool = True
    sentences: bool = False
    encoded: bool = False


OFFERS: dict[Kind, Offer] = {
    "handwritten": Offer("digits"),
    "glyphs": Offer("digits", captions=True),
    "letters": Offer("letters", multi_label=True),
    "hans": Offer("entailment", images=False),
    "labels": Offer("its own", images=False),
    "digits": Offer("digits"),
    "photos": Offer("photos"),
    "fonts": Offer("fonts"),
    "medium": Offer("media"),
    "count": Offer("counts"),
    "rotation": Offer("angles"),
    "folder": Offer("its own", grey=False),
    "domains": Offer("digits"),
    "characters": Offer("characters"),
    "plain_characters": Offer("characters"),
    "domain_folder": Offer("its own", grey=False),
    "sentence_pairs": Offer("entailment", images=False, sentences=True),
    "overlap_heuristics": Offer("entailment", images=False, sentences=True),
    "word_swaps": Offer("entailment", images=False, sentences=True),
    "minimal_pairs": Offer("acceptability", images=False, sentences=True),
    "images": Offer("its own", images=False, encoded=True),
}

# Of the kinds that are drawn with groups, these (known here without making the examples).
GROUPS: dict[Kind, tuple[str, ...]] = {
    "sentence_pairs": ("entailed", "new words", "overlap misleads"),
    "overlap_heuristics": tuple(
        f"{heuristic}, {label}"
        for heuristic in ("lexical overlap", "subsequence", "constituent")
        for label in ("entailment", "non-entailment")
    ),
    "word_swaps": tuple(
        f"{swapped}, {label}"
        for swapped in ("voice", "conjunction", "adverb", "preposition")
        for label in ("entailment", "non-entailment")
    ),
    "minimal_pairs": (
        "agreement",
        "agreement across a phrase",
        "reflexive gender",
        "reflexive number",
        "determiner",
        "word order",
        "argument structure",
    ),
}


def _numbered(ids: str) -> str:
    try:
        # A column's name has no braces, and stays as it is.
        if "{" in ids and ids.format(1) == ids.format(2):
            raise ValueError
    except (ValueError, LookupError, AttributeError, TypeError):
        what = "should be a column, or have one place for a number, such as 'test-{:05d}'"
        raise ValueError(what) from None
    return ids


Classes = Annotated[
    Annotated[int, Field(ge=2)]
    | Annotated[Distinct[str], Field(min_length=2)]
    | Annotated[str, Field(min_length=1)]
    | None,
    in_one_sentence("should be a number of classes from 2 on, or a list of different names"),
]


Groups = Annotated[
    str | Annotated[Distinct[str], Field(min_length=1)] | None,
    in_one_sentence("should be a column, or a list of different columns"),
]


class Download(Section):
    """A file that others published, or one of your own."""

    location: str = Field(min_length=1, description="https address, or path of a file")
    sha256: str | None = Field(
        None,
        pattern=SHA256,
        description="Its sha256; needed of an address that names no commit, without a `page`",
    )
    licence: str | None = Field(None, description="Its licence; needed of an address")
    citation: str | None = Field(None, description="Whom to cite")
    page: str | None = Field(
        None, description="Page that people get it from by hand, where no job can fetch it"
    )


class ImageFile(Download):
    """A file of images."""

    split: Split | None = Field(
        None, description="Split that all its images are of; null: as `splits` deals them (folder)"
    )


class Labels(Download):
    """A file of labels, and how to read it."""

    ids: Annotated[str, AfterValidator(_numbered)] = Field(
        min_length=1,
        description="Column of the example ids; or, of files without columns, ids by number of the "
        "row, such as 'test-{:05d}'",
    )
    first: int = Field(0, ge=0, description="Number of the first row in such ids")
    label: str | None = Field(None, description="Column of the labels")
    groups: Groups = Field(
        None, description="Column of the groups that are told apart, or several that tell together"
    )
    array: str | None = Field(None, description="Array of the labels in an npz file")
    member: str | None = Field(None, min_length=1, description="File in a zip or tar archive")
    sentences: Distinct[str] = Field(
        [], max_length=2, description="Columns of the sentences, one or two an example"
    )
    header: Distinct[str] = Field(
        [], description="Names of the columns, of a table whose first line does not have them"
    )


class DataSet(Section):
    """One data set and how many examples each split of it has."""

    kind: Kind = Field(description="Where examples come from; `labels`: from a file of labels")
    seed: int = Field(0, ge=0, description="Seed of the split and of whatever is drawn")
    size: Positive | None = Field(None, description="Height and width of the images in pixels")
    splits: dict[Split, Positive] = Field(
        {},
        description="Examples of each split; where it is left out, all are `report` (labels); "
        "where `report` is left out, all others are (folder); of each domain, "
        f"{MOST_SCANS} at most altogether (domains)",
    )
    labels: Labels | None = Field(None, description="File of the labels (labels)")
    classes: Classes = Field(
        None,
        description="Names of the classes, or how many there are if they are numbered (labels, "
        "images, and folder and domain_folder with `images`); or the path of a file of their "
        "names, a line each (images)",
    )
    images: list[ImageFile] = Field(
        [],
        description="Archives (tar, zip) or parquet files that hold the images (images; folder and "
        "domain_folder, instead of `location`)",
    )
    domains: Distinct[str] = Field(
        [], description="Domains of such files, by the names of their folders (domain_folder)"
    )
    row_order: str | None = Field(
        None,
        description="Order of the labels, which files of predictions without ids follow (labels)",
    )
    relabels: Id | None = Field(
        None, description="Data set whose examples get other labels here (labels)"
    )
    apart_from: Id | None = Field(
        None,
        description="Data set of kind `handwritten`; scans of its train split are left out here "
        "(digits, medium)",
    )
    location: str | None = Field(
        None,
        min_length=1,
        description="Path of a folder with a folder of images a class (folder), or with such a "
        "folder a domain (domain_folder)",
    )
    breakers: Share | None = Field(
        None,
        description="Share of the pairs in which overlap of words misleads (sentence_pairs)",
    )


class Format(Section):
    """How a file of predictions is read."""

    ids: str = Field("id", description="Column of the example ids")
    predicted: str = Field("predicted", description="Column of the predicted class")
    confidence: str | None = Field(
        None, description="Column of its probability; null: 'confidence', if there is one"
    )
    values: Literal["probabilities", "logits"] = Field(
        "probabilities", description="What scores of all classes are"
    )
    array: str | None = Field(None, description="Array in an npz file")
    member: str | None = Field(None, description="File in a zip or tar archive")
    label_map: dict[str, str] | None = Field(None, description="Our class of each of its labels")


# What a kind of data set has to say (True), and what it may.
LEAVES: dict[Kind, dict[str, bool]] = {
    "handwritten": {"size": True, "splits": True},
    "glyphs": {"size": True, "splits": True},
    "letters": {"size": True, "splits": True},
    "hans": {"splits": True},
    "labels": {"labels": True, "splits": False, "classes": True, "row_order": False},
    "digits": {"size": True, "splits": True, "apart_from": True},
    "photos": {"size": True, "splits": True},
    "fonts": {"size": True, "splits": True},
    "medium": {"size": True, "splits": True, "apart_from": True},
    "count": {"size": True, "splits": True},
    "rotation": {"size": True, "splits": True},
    "folder": {"size": True, "splits": True, "location": False, "images": False, "classes": False},
    "domains": {"size": True, "splits": True},
    "characters": {"size": True, "splits": True},
    "plain_characters": {"size": True, "splits": True},
    "domain_folder": {"size": True, "location": False}
    | {"images": False, "classes": False, "domains": False},
    "sentence_pairs": {"splits": True, "breakers": True},
    "overlap_heuristics": {"splits": True},
    "word_swaps": {"splits": True},
    "minimal_pairs": {"splits": True},
    "images": {"images": True, "labels": False, "classes": False, "splits": False},
}
# Examples that another data set has bring their splits and classes along.
RELABELLING_LEAVES = {"labels": True, "relabels": True}
