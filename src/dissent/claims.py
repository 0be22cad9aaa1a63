"""From the papers' claims and a run's statistics to verdicts; never written by hand."""

import pandas as pd

from dissent.commandline import InputError

SUPPORTED, NOT_SUPPORTED, NOT_MEASURED = "supported", "not supported", "not measured"


def evaluate(claims: pd.DataFrame, statistics: pd.DataFrame) -> pd.DataFrame:
    """Claims with this run's value, interval, n, what n counts, and verdict.

    A claim is supported if the whole interval of its statistic lies on the claimed side of the
    threshold, not supported otherwise, and not measured if the run has no such statistic or could
    not give it a value and an interval. Raises InputError for a comparison other than > and <, or
    for a statistic that is given twice.
    """
    unknown = sorted(set(claims["comparison"]) - {">", "<"})
    if unknown:
        raise InputError(f"config/claims.csv: comparison should be > or <, not {unknown[0]!r}")
    repeated = statistics["statistic"][statistics["statistic"].duplicated()]
    if len(repeated):
        raise InputError(f"the statistic {repeated.iloc[0]!r} is measured twice")
    table = claims.merge(statistics, on="statistic", how="left")
    table["verdict"] = [
        verdict(row.comparison, row.threshold, row.value, row.low, row.high)
        for row in table.itertuples()
    ]
    return table


def verdict(comparison: str, threshold: float, value: float, low: float, high: float) -> str:
    """What a value and its interval say of a claim."""
    if pd.isna([value, low, high]).any():
        return NOT_MEASURED
    holds = low > threshold if comparison == ">" else high < threshold
    return SUPPORTED if holds else NOT_SUPPORTED


def measured(claim) -> str:
    """A row of the evaluated claims in figures: value, interval and n; empty if not measured."""
    if claim.verdict == NOT_MEASURED:
        return ""
    value, low, high = (f"{number:.3g}" for number in (claim.value, claim.low, claim.high))
    return f"{value} [{low}, {high}], n = {claim.n:.0f} {claim.n_of}"


def numbers(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """By the claim's id: value, interval and n of every measured claim in the evaluated table."""
    return {
        claim.id: {"value": claim.value, "low": claim.low, "high": claim.high, "n": int(claim.n)}
        for claim in table.itertuples()
        if claim.verdict != NOT_MEASURED
    }
