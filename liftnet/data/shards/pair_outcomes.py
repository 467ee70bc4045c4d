"""Every pair that was tried, kept or not, and why: the rows of TRIED, and which pairs the dataset leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from liftnet.data.codes import PairReason
from liftnet.data.schemas import TRIED

COLUMNS = (
    *("pair_id", "work_id", "split", "image_a", "image_b", "kept", "reason"),
    *("n_putative", "n_masked", "n_inliers", "x1"),
)  # of PAIRS, that a row of TRIED is made of


@dataclass(frozen=True, eq=False)
class Lookup:
    """Strings by image_id, looked up for whole columns at once."""

    ids: pa.Array
    values: pa.Array

    @classmethod
    def of(cls, mapping: Mapping[str, str | None]) -> Lookup:
        """The lookup of a mapping."""
        return cls(pa.array(mapping.keys(), pa.string()), pa.array(mapping.values(), pa.string()))

    @classmethod
    def of_sources(cls, manifest: pa.Table | None) -> Lookup:
        """The source of each stored image of a manifest; empty without one."""
        if manifest is None:
            return cls.of({})
        stored = manifest.filter(pc.equal(manifest.column("status"), "ok"))
        return cls(*(stored.column(name).combine_chunks().cast(pa.string()) for name in ("image_id", "source")))

    def __call__(self, column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
        """The value of each id of the column; null where there is none."""
        return self.values.take(pc.index_in(column.cast(pa.string()), value_set=self.ids))


def left_out_reasons(pairs: pa.Table, left_out: Lookup) -> pa.ChunkedArray:
    """Why the dataset leaves each pair out: the reason of its first image, else of its second; null if it does not."""
    return pc.coalesce(*(left_out(pairs.column(name).combine_chunks()) for name in ("image_a", "image_b")))


def tried_rows(pairs: pa.Table, left_out: Lookup, sources: Lookup) -> pa.Table:
    """Rows of PAIRS (its COLUMNS) as rows of TRIED.

    Args:
        pairs: The pairs that were tried.
        left_out: Reasons for which the dataset leaves images out.
        sources: The source of each image.
    """
    verified = pc.fill_null(pairs.column("kept"), False)
    refused = left_out_reasons(pairs, left_out)
    kept = pc.and_(verified, pc.is_null(refused))
    reason = pc.if_else(
        verified, pc.coalesce(refused, PairReason.KEPT), pc.coalesce(pairs.column("reason"), PairReason.NOT_STATED)
    )
    lengths = pc.fill_null(pc.list_value_length(pairs.column("x1")), 0)
    columns = {
        **{name: pairs.column(name) for name in TRIED.names if name in pairs.column_names},
        "source_a": sources(pairs.column("image_a").combine_chunks()),
        "source_b": sources(pairs.column("image_b").combine_chunks()),
        "kept": kept,
        "reason": reason,
        "n": pc.if_else(kept, lengths, 0).cast(pa.int32()),
    }
    return pa.table([columns[name] for name in TRIED.names], schema=TRIED)
