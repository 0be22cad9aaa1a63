"""Put the demo's figures and claims into the documentation: docs/gallery and README.md."""

import argparse
import re
import shutil
from pathlib import Path

import pandas as pd

from dissent.claims import measured

README = Path("README.md")
GALLERY = Path("docs/gallery")
BEGIN, END = "<!-- claims: written by `make gallery` -->", "<!-- end of claims -->"


def main(run: str) -> None:
    results = Path("results") / run
    for figure in sorted(results.glob("figures/*/*.png")):
        target = GALLERY / figure.parent.name / figure.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(figure, target)
    table = claims_table(pd.read_csv(results / "claims.csv"))
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", flags=re.DOTALL)
    README.write_text(pattern.sub(f"{BEGIN}\n{table}\n{END}", README.read_text()))


def claims_table(claims: pd.DataFrame) -> str:
    """The claims as a Markdown table."""
    lines = [
        "| figure | claim | paper | this run and its interval | verdict |",
        "|---|---|---|---|---|",
    ]
    for claim in claims.itertuples():
        lines.append(
            f"| {claim.figure} | {claim.claim} | {claim.paper_value} "
            f"| {measured(claim)} | **{claim.verdict}** |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="demo", help="name of the run")
    main(parser.parse_args().run)
