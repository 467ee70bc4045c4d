"""The whole configuration: one section a stage, and the JSON schema that Snakemake checks it with.

`python -m liftnet.config schema` prints the schema, `... defaults` the shipped config.yaml; tests keep the committed
files equal to them. Snakemake checks with the schema alone, so that a run is refused before its first job even where
liftnet itself is not installed.
"""

from __future__ import annotations

import sys
import textwrap
from typing import Any, Self

import yaml
from pydantic import ConfigDict, Field, model_validator

from liftnet.collect.catalogues import CATALOGUES, settings_of_entry
from liftnet.collect.settings import CollectSettings
from liftnet.core.errors import LiftnetError
from liftnet.core.settings import Settings, group_of
from liftnet.depth.settings import DepthSettings
from liftnet.drkfs.settings import DrkfsSettings
from liftnet.experiments.settings import ExperimentsSettings
from liftnet.match.settings import MatchSettings
from liftnet.reconstruct.settings import ReconstructSettings
from liftnet.render.settings import RenderSettings
from liftnet.report.settings import ReportSettings
from liftnet.segment.settings import SegmentSettings
from liftnet.shard.settings import ShardSettings
from liftnet.verify.settings import VerifySettings

WIDTH = 119


class SourceEntry(Settings):
    """One list of images to collect: the name of the list, its kind, and that kind's options."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    kind: str

    @model_validator(mode="after")
    def _options_are_of_its_kind(self) -> Self:
        try:
            settings_of_entry(self.model_dump())
        except LiftnetError as error:
            raise ValueError(str(error)) from error
        return self

    @classmethod
    def schema_of_kinds(cls) -> dict[str, Any]:
        """The JSON schema of an entry: which options it may have depends on its kind."""
        own = {"name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$"}, "kind": {"enum": list(CATALOGUES)}}
        branches = []
        for kind, catalogue in CATALOGUES.items():
            properties = catalogue.settings_type.model_json_schema()["properties"]
            for option in properties.values():
                del option["default"]
            then = {"properties": {"name": {}, "kind": {}, **properties}, "additionalProperties": False}
            branches.append({"if": {"properties": {"kind": {"const": kind}}}, "then": then})
        return {"type": "object", "required": ["name", "kind"], "properties": own, "allOf": branches}


class Config(Settings):
    """Everything a run can be told; as shipped in config.yaml it is the demo."""

    results: str = Field("results", min_length=1, description="folder of all outputs")
    take_over: bool = Field(
        False,
        description="let the photographs and sources of this one call take the place of those that the folder of "
        "results is a run of",
    )
    photos: str | None = Field(
        None,
        description="your photographs: a folder with sources.csv, a folder of artist/work/*.jpg, or a list (.csv or "
        ".parquet); null collects the built-in demo museum, unless there are sources",
    )
    sources: list[SourceEntry] = Field(
        [],
        description="lists to ask catalogues for, collected with photos: [{name: rodin, kind: commons, categories: "
        "[...]}]; see docs/sources.md",
    )
    seed: int = Field(0, ge=0, description="seed of everything random")
    render: RenderSettings = Field(RenderSettings(), description="the synthetic museum and rendered sets")
    collect: CollectSettings = Field(CollectSettings(), description="downloading and splitting")
    segment: SegmentSettings = Field(SegmentSettings(), description="foreground masks")
    match: MatchSettings = Field(MatchSettings(), description="putative matches")
    verify: VerifySettings = Field(VerifySettings(), description="affine verification")
    shard: ShardSettings = Field(ShardSettings(), description="the dataset")
    depth: DepthSettings = Field(DepthSettings(), description="LiftNet")
    drkfs: DrkfsSettings = Field(DrkfsSettings(), description="visual similarity of shapes")
    reconstruct: ReconstructSettings = Field(ReconstructSettings(), description="3D shape from one image")
    experiments: ExperimentsSettings = Field(ExperimentsSettings(), description="the experiments of the papers")
    report: ReportSettings = Field(ReportSettings(), description="the report page")

    @model_validator(mode="after")
    def _sources_have_names_of_their_own(self) -> Self:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"two sources have one name: {', '.join(names)}")
        return self


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `Config`, without references, titles and defaults of whole groups."""
    schema = Config.model_json_schema()
    groups = schema.pop("$defs", {})
    schema["properties"]["sources"]["items"] = SourceEntry.schema_of_kinds()
    schema = _in_place(schema, groups)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return _without_titles(schema)


def _in_place(schema: dict[str, Any], groups: dict[str, Any]) -> dict[str, Any]:
    """The schema of a group with those of the groups in it where they are referred to."""
    properties = {}
    for name, entry in schema["properties"].items():
        if "$ref" in entry:
            group = _in_place(groups[entry["$ref"].rpartition("/")[2]], groups)
            entry = {**group, "description": entry["description"], "default": {}}
        properties[name] = entry
    return {**schema, "properties": properties}


def _without_titles(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_titles(item) for key, item in value.items() if not (key == "title" and isinstance(item, str))
        }
    return [_without_titles(item) for item in value] if isinstance(value, list) else value


def schema_text() -> str:
    """What workflow/schemas/config.schema.yaml holds."""
    head = "# Written by `python -m liftnet.config schema`; change liftnet/<stage>/settings.py instead.\n"
    return head + yaml.safe_dump(json_schema(), sort_keys=False, width=110, allow_unicode=True)


def config_text() -> str:
    """What config.yaml holds: every setting with its default and what it means."""
    lines = [
        "# Every setting with its default; as it stands, a run collects and evaluates the built-in demo museum.",
        "# Put your own values in a file of your own and name it: snakemake --cores all --configfile mine.yaml",
    ]
    return "\n".join([*lines, *_group_lines(Config, "")]) + "\n"


def _group_lines(group: type[Settings], indent: str) -> list[str]:
    """The settings of a group, those of the groups in it indented below their names."""
    lines: list[str] = []
    for name, field in group.model_fields.items():
        inner = group_of(field)
        if inner is None:
            lines += _setting_lines(name, field.default, str(field.description), indent)
        else:
            empty = "" if inner.model_fields else " {}"  # else a name with nothing below it would be null
            lines += [*([] if indent else [""]), f"{indent}{name}:{empty}  # {field.description}"]
            lines += _group_lines(inner, indent + "  ")
    return lines


def _setting_lines(key: str, default: Any, meaning: str, indent: str) -> list[str]:
    """The meaning behind the value where one line holds both, else above it."""
    line = f"{indent}{key}: {_value(default)}"
    if len(line) + len(meaning) <= WIDTH - 4:
        return [f"{line}  # {meaning}"]
    above = textwrap.wrap(meaning, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
    return [*above, line]


def _value(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).removesuffix("...\n").strip()


if __name__ == "__main__":
    sys.stdout.write(config_text() if sys.argv[1:] == ["defaults"] else schema_text())
