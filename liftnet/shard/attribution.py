"""Who made each photograph and under which licence, as a table and as a page that loads nothing."""

from __future__ import annotations

from pathlib import Path

from liftnet.core.files import atomic_path, write_text
from liftnet.shard.summary import DatasetSummary

COLUMNS = (
    *("image_id", "split", "artist", "work", "attribution", "license", "license_spdx", "license_url", "credit"),
    *("source", "source_id", "page_url", "image_url", "work_rights"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is a formula to a spreadsheet


def write_attribution(folder: Path, summary: DatasetSummary, name: str) -> None:
    """Write `ATTRIBUTION.csv` and `ATTRIBUTION.html`: one row a photograph of the dataset, sorted by artist and work.

    In the CSV a text that a spreadsheet would take for a formula begins with an apostrophe. In the page every text is
    escaped, and only http and https addresses are links.

    Args:
        folder: The dataset.
        summary: Its numbers and its images.
        name: Name of the dataset.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    rows = summary.images[list(COLUMNS)].astype(object).sort_values(["artist", "work", "image_id"])
    rows = rows.where(rows.notna(), "")
    write_text(folder / "ATTRIBUTION.csv", rows.map(_no_formula).to_csv(index=False, lineterminator="\n"))
    environment = Environment(
        loader=PackageLoader("liftnet", "shard"),
        autoescape=True,  # names and captions come from the web
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["address"] = is_address
    page = environment.get_template("attribution.html.j2")
    stream = page.stream(name=name, rows=rows.to_dict("records"), licences=summary.licences.most_common())
    with atomic_path(folder / "ATTRIBUTION.html") as temporary:
        stream.dump(str(temporary), encoding="utf-8")


def is_address(text: object) -> bool:
    """Whether a text may be a link: a web address, not `javascript:` or a file."""
    return isinstance(text, str) and text.lower().startswith(("https://", "http://"))


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
