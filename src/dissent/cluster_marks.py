"""How the two clusters of models look in figures."""

from matplotlib.lines import Line2D

from dissent import figures

# Of Okabe and Ito's colours, one light and one dark in grey.
LOOKS = {
    "large": {"marker": "o", "color": "#56B4E9"},
    "small": {"marker": "^", "color": "#D55E00"},
}
POINT = {"markersize": 4, "markeredgecolor": "black", "markeredgewidth": 0.3}


def handles(sizes: dict[str, int]) -> list[Line2D]:
    """Legend entries of the clusters, with how many models each has."""
    return [
        figures.handle(f"{cluster} cluster ({sizes[cluster]} models)", **look | POINT)
        for cluster, look in LOOKS.items()
    ]
