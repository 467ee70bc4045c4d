"""The whole configuration: one section a stage, and the JSON schema that Snakemake checks it with.

`python -m liftnet.config` prints the schema; workflow/schemas/config.schema.yaml holds what it prints (a test keeps
them equal), so that a run is refused before its first job even where liftnet itself is not installed.
"""

from __future__ import annotations

import sys
from typing import Any

import yaml
from pydantic import Field

from liftnet.collect.settings import CollectSettings
from liftnet.depth.settings import DepthSettings
from liftnet.io.settings import Settings
from liftnet.match.settings import MatchSettings
from liftnet.render.settings import RenderSettings
from liftnet.report.settings import ReportSettings
from liftnet.segment.settings import SegmentSettings
from liftnet.shard.settings import ShardSettings
from liftnet.verify.settings import VerifySettings


class Config(Settings):
    """Everything a run can be told; as shipped in config.yaml it is the demo."""

    results: str = Field("results", min_length=1, description="folder of all outputs")
    photos: str | None = Field(
        None,
        description="your photographs: a folder with sources.csv, a folder of artist/work/*.jpg, or a .csv file; "
        "null collects the built-in demo museum",
    )
    seed: int = Field(0, ge=0, description="seed of everything random")
    render: RenderSettings = Field(RenderSettings(), description="the demo museum")
    collect: CollectSettings = Field(CollectSettings(), description="downloading and splitting")
    segment: SegmentSettings = Field(SegmentSettings(), description="foreground masks")
    match: MatchSettings = Field(MatchSettings(), description="putative matches")
    verify: VerifySettings = Field(VerifySettings(), description="affine verification")
    shard: ShardSettings = Field(ShardSettings(), description="the dataset")
    depth: DepthSettings = Field(DepthSettings(), description="LiftNet")
    report: ReportSettings = Field(ReportSettings(), description="the report page")


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `Config`, without references, titles and defaults of whole sections."""
    schema = Config.model_json_schema()
    sections = schema.pop("$defs", {})
    for name, entry in schema["properties"].items():
        if "$ref" in entry:
            section = sections[entry["$ref"].rpartition("/")[2]]
            schema["properties"][name] = {**section, "description": entry["description"], "default": {}}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return _without_titles(schema)


def _without_titles(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_titles(item) for key, item in value.items() if not (key == "title" and isinstance(item, str))
        }
    return [_without_titles(item) for item in value] if isinstance(value, list) else value


def schema_text() -> str:
    """What workflow/schemas/config.schema.yaml holds."""
    head = "# Written by `python -m liftnet.config`; change liftnet/<stage>/settings.py instead.\n"
    return head + yaml.safe_dump(json_schema(), sort_keys=False, width=110, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(schema_text())
