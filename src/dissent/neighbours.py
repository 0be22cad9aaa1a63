"""Leave-one-out nearest-neighbour accuracy of features: a cheap proxy for fine-tuning the model.

k = 1, Euclidean, over all labelled examples: Puigcerver et al. (arXiv 2009.13239, section 5), whose
ranking of pre-trained models is that of Deep Ensembles for Low-Data Transfer Learning.

Distances come from one matrix product, |x|^2 + |y|^2 - 2 x.y, which is fast but rounds. Wherever
its rounding could decide, distances are computed anew from differences in float64, so that neither
the machine's linear algebra nor its number of threads decides anything.
"""

from collections.abc import Sequence

import numpy as np

from dissent.commandline import InputError

BLOCK_ROWS = 2048  # rows of the matrix of distances held at a time
FEW = 16  # contenders an example from which on a product in float64 is cheaper than differences
CHUNK = 64  # differences computed at a time


def leave_one_out_accuracy(features_ND: np.ndarray, labels_N: np.ndarray) -> float:
    """Share of examples whose nearest neighbour among all others has the same label.

    Raises InputError as `nearest_neighbours` does.
    """
    return float((labels_N[nearest_neighbours(features_ND)] == labels_N).mean())


def nearest_neighbours(features_ND: np.ndarray) -> np.ndarray:
    """Index of the nearest other example of each, int64 [N]: Euclidean, in float64.

    Of equal distances the lowest index. Features are float16, float32 or float64; it takes the
    memory of N x 2,048 float32 distances. Raises InputError for features that are not all finite,
    and for fewer than two examples.
    """
    n_examples = len(features_ND)
    if n_examples < 2:
        raise InputError(f"nearest neighbours need two examples or more, there is {n_examples}")
    if n_bad := n_examples - np.count_nonzero(np.isfinite(features_ND).all(axis=1)):
        raise InputError(
            f"the features of {n_bad:,} of {n_examples:,} examples are not finite numbers: leave "
            "the model out"
        )
    coarse_ND, fine_ND = _centred(features_ND, np.float32), None
    nearest_N = np.empty(n_examples, np.int64)
    for start in range(0, n_examples, BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        contends_BN = _contends(coarse_ND, rows)
        if np.count_nonzero(contends_BN) > FEW * len(contends_BN):
            fine_ND = _centred(features_ND, np.float64) if fine_ND is None else fine_ND
            contends_BN = _contends(fine_ND, rows)
        nearest_N[rows] = contends_BN.argmax(axis=1)
        for b in np.flatnonzero(np.count_nonzero(contends_BN, axis=1) > 1):
            example = start + b
            nearest_N[example] = _nearest(features_ND, example, np.flatnonzero(contends_BN[b]))
    return nearest_N


def normalised(features_ND: np.ndarray) -> np.ndarray:
    """Features of Euclidean length 1, float64 [N, D]; those that are all 0 stay so."""
    wide_ND = features_ND.astype(np.float64)
    length_N1 = np.linalg.norm(wide_ND, axis=1, keepdims=True)
    return wide_ND / np.where(length_N1 == 0, 1, length_N1)


def check_labels(labels: np.ndarray, classes: Sequence[str], data: str) -> None:
    """Raise InputError unless the labelled examples have one of two classes or more, each twice.

    `labels` are those of the examples among which neighbours are looked for, of data set `data`.
    """
    if labels.ndim != 1:
        raise InputError(f"data set {data!r} has several labels an example: give one that has one")
    if len(classes) < 2:
        raise InputError(f"data set {data!r} has one class: give one that has two or more")
    counts_C = np.bincount(labels, minlength=len(classes))
    if (fewest := int(counts_C.min())) < 2:
        raise InputError(
            f"data set {data!r} has {fewest} labelled example{'s' * (fewest != 1)} of class "
            f"{classes[counts_C.argmin()]!r}, counting splits train and tune: give two or more"
        )


def _contends(centred_ND: np.ndarray, rows: slice) -> np.ndarray:
    """Which examples may be nearest to each of a block of rows, bool [B, N]: the nearest is among.

    A product of D terms, added up in whatever order, is wrong by at most gamma |x||y| with
    gamma = D u / (1 - D u) (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
    As squared lengths are such products and |x||y| <= (|x|^2 + |y|^2) / 2, squared distances are
    wrong by at most `share` (|x|^2 + |y|^2). It also covers what else is rounded: the 16 here and
    in centring, the last term the differences that decide in the end; `tiny` covers underflow.
    """
    n_dimensions, kind = centred_ND.shape[1], np.finfo(centred_ND.dtype)
    terms = (n_dimensions + 16) * float(kind.eps) / 2
    gamma = terms / (1 - terms)
    share = 2 * gamma / (1 - gamma) + (n_dimensions + 3) * float(np.finfo(np.float64).eps)
    tiny = 8 * n_dimensions * float(kind.tiny)
    square_N = np.einsum("nd,nd->n", centred_ND, centred_ND)
    square_B = square_N[rows]
    if 8 * float(square_N.max()) < float(kind.max):
        apart_BN = centred_ND[rows] @ centred_ND.T
        apart_BN *= -2
        apart_BN += square_N * (1 + share)
        np.fill_diagonal(apart_BN[:, rows], np.inf)
        limit_B = apart_BN.min(axis=1) + 2 * share * square_B + tiny
        apart_BN -= 2 * share * square_N
        contends_BN = apart_BN <= limit_B[:, None]
    else:  # products may overflow
        contends_BN = np.ones((len(square_B), len(square_N)), bool)
    np.fill_diagonal(contends_BN[:, rows], False)
    return contends_BN


def _nearest(features_ND: np.ndarray, example: int, contenders_K: np.ndarray) -> int:
    """The contender at the least distance in float64; of equal ones the first."""
    own_D = features_ND[example].astype(np.float64)
    least, nearest = np.inf, contenders_K[0]
    for start in range(0, len(contenders_K), CHUNK):
        chunk_K = contenders_K[start : start + CHUNK]
        square_K = np.square(features_ND[chunk_K] - own_D).sum(axis=1)
        if square_K.min() < least:
            least, nearest = square_K.min(), chunk_K[square_K.argmin()]
        # Features of a collapsed model are all the same, and all examples contend.
        if least == 0:
            break
    return int(nearest)


def _centred(features_ND: np.ndarray, dtype: type) -> np.ndarray:
    """Features less about their mean: distances are the same, and products round less."""
    if features_ND.dtype == np.float16 and dtype == np.float32:
        wide_ND = _widened(features_ND)
    else:
        wide_ND = features_ND.astype(np.result_type(features_ND, dtype), copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        return (wide_ND - wide_ND.mean(axis=0)).astype(dtype, copy=False)


def _widened(half_ND: np.ndarray) -> np.ndarray:
    """Finite float16 as float32, several times as fast as numpy, which goes value by value.

    Sign, exponent and fraction move to their places, and the product mends the exponent's offset.
    """
    bits_ND = half_ND.view(np.int16).astype(np.int32)
    bits_ND <<= 13
    bits_ND &= np.int32(-0x70002000)
    wide_ND = bits_ND.view(np.float32)
    wide_ND *= np.float32(2.0**112)
    return wide_ND
