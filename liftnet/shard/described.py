"""What a dataset's card and croissant.json must say for `shard verify` to compare it with the files: their schemas."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from liftnet.core.documents import DocumentError, parse_yaml, read_json_file
from liftnet.core.errors import LiftnetError
from liftnet.core.limits import CARD_BYTES
from liftnet.core.opening import only_files
from liftnet.shard.statistics import HUB_SPLITS

AGAIN = "Download the dataset again"
Name = Annotated[str, Field(max_length=300)]
Count = Annotated[int, Field(ge=0)]
Counts = dict[str, dict[str, int]]  # rows by table and split


class _Described(BaseModel):
    """What is not named here may stand beside it, and is not looked at."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class StatedLicences(_Described):
    """What the card says of the licences of its images."""

    licence_profile: Name
    unknown_licences: StrictBool


class StatedSplit(_Described):
    """The rows of a split."""

    name: Name
    num_examples: Count


class StatedTable(_Described):
    """A table, as the hub names it, by split."""

    config_name: Name
    splits: Annotated[tuple[StatedSplit, ...], Field(max_length=100)]


class CardMatter(_Described):
    """The block of YAML at the beginning of the card."""

    liftnet: StatedLicences
    dataset_info: Annotated[tuple[StatedTable, ...], Field(max_length=100)]

    def counts(self) -> Counts:
        """Rows by table and split; names of splits that are none stay as they are."""
        splits = {hub: split for split, hub in HUB_SPLITS.items()}
        return {
            table.config_name: {splits.get(part.name, part.name): part.num_examples for part in table.splits}
            for table in self.dataset_info
        }


class StatedFile(_Described):
    """A file or a set of files."""

    id: Name = Field(alias="@id")
    sha256: Name | None = None


class StatedCount(_Described):
    """The rows of a split, "table/split"."""

    id: Name = Field(alias="@id")
    value: Count


class StatedRecords(_Described):
    """A table of croissant.json."""

    id: Name = Field(alias="@id")
    annotation: Annotated[tuple[StatedCount, ...], Field(max_length=100)] | None = None


class Croissant(_Described):
    """croissant.json."""

    distribution: Annotated[tuple[StatedFile, ...], Field(max_length=1_000_000)]
    records: Annotated[tuple[StatedRecords, ...], Field(max_length=1_000, alias="recordSet")]

    def counts(self) -> Counts:
        """Rows by table and split."""
        return {
            table.id: {part.id.rpartition("/")[2]: part.value for part in table.annotation}
            for table in self.records
            if table.annotation is not None
        }


Kind = TypeVar("Kind", bound=_Described)


def card_of(path: Path) -> CardMatter:
    """The block of YAML at the beginning of a card.

    Raises:
        LiftnetError: There is none, or it does not say what it must.
    """
    try:
        with open(path, encoding="utf-8", opener=only_files) as file:
            parts = file.read(CARD_BYTES).split("---\n", 2)
    except (OSError, UnicodeDecodeError) as error:
        raise LiftnetError(path, f"cannot be read ({error})", AGAIN) from error
    if len(parts) != 3 or parts[0]:
        raise LiftnetError(path, "does not begin with a block of YAML", AGAIN)
    try:
        return _checked(path, CardMatter, parse_yaml(parts[1]))
    except DocumentError as error:
        raise LiftnetError(path, f"its block of YAML {error}", AGAIN) from error


def croissant_of(path: Path) -> Croissant:
    """A croissant.json.

    Raises:
        LiftnetError: It is missing, no JSON, or does not say what it must.
    """
    return _checked(path, Croissant, read_json_file(path, AGAIN, AGAIN))


def _checked(path: Path, kind: type[Kind], value: object) -> Kind:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise LiftnetError(path, f"does not say what it must ({where}: {first['msg']})", AGAIN) from error
