"""Structs in Thrift's compact protocol, of which the heads and the footer of a Parquet file are made.

Read here instead of by pyarrow, whose metadata end the process on numbers that do not fit each other: their C++ throws
where nothing catches. What two readers could understand in two ways is refused: a field that stands twice, or as
another type than the format says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BOOLEAN, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT, UUID = 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
_DEPTH = 12
_FIXED = {DOUBLE: 8, UUID: 16}
Fields = dict[int, tuple[int, Any]]


class DamagedThriftError(ValueError):
    """Bytes that are no such struct."""


class Compact:
    """Reads structs one after the other; `at` is the place behind the last one."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def struct(self, depth: int = 0) -> Fields:
        """The fields of a struct by their numbers, each with its type.

        Raises:
            DamagedThriftError: It ends early, is too deep, or has a field twice or of no known type.
        """
        if depth > _DEPTH:
            raise DamagedThriftError("too deep")
        fields: Fields = {}
        name = 0
        while (byte := self._byte()) != 0:
            step, kind = byte >> 4, byte & 15
            name = name + step if step else self._number()
            if name in fields:
                raise DamagedThriftError(f"its field {name} stands twice")
            kind, value = (BOOLEAN, kind == 1) if kind in (1, 2) else (kind, self._value(kind, depth))
            fields[name] = kind, value
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in (I16, I32, I64):
            return self._number()
        if kind == BINARY:
            return self._bytes(self._varint())
        if kind in (LIST, SET):
            return self._list(depth)
        if kind in (BOOLEAN, BYTE, 1):
            return self._byte()
        if kind in _FIXED:
            return self._bytes(_FIXED[kind])
        if kind == MAP:
            return self._map(depth)
        raise DamagedThriftError(f"a field of type {kind}")

    def _list(self, depth: int) -> list[tuple[int, Any]]:
        byte = self._byte()
        count, kind = byte >> 4, byte & 15
        if count == 15:
            count = self._varint()
        if depth > _DEPTH or count > len(self.data) - self.at:
            raise DamagedThriftError(f"a list of {count:,}")
        return [(kind, self._value(kind, depth + 1)) for _ in range(count)]

    def _map(self, depth: int) -> None:
        count = self._varint()
        if depth > _DEPTH or count > len(self.data) - self.at:
            raise DamagedThriftError(f"a map of {count:,}")
        kinds = self._byte() if count else 0
        for _ in range(count):
            self._value(kinds >> 4, depth + 1)
            self._value(kinds & 15, depth + 1)

    def _bytes(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise DamagedThriftError("it ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise DamagedThriftError("it ends early")
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise DamagedThriftError("a number without an end")

    def _number(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)


def optional(fields: Mapping[int, tuple[int, Any]], name: int, kind: int) -> Any:
    """The value of a field, None where it is not there.

    Raises:
        DamagedThriftError: It is of another type.
    """
    found, value = fields.get(name, (kind, None))
    if found != kind:
        raise DamagedThriftError(f"its field {name} is of type {found}, not {kind}")
    return value


def required(fields: Mapping[int, tuple[int, Any]], name: int, kind: int) -> Any:
    """The value of a field.

    Raises:
        DamagedThriftError: It is not there, or of another type.
    """
    if name not in fields:
        raise DamagedThriftError(f"it lacks the field {name}")
    return optional(fields, name, kind)


def listed(fields: Mapping[int, tuple[int, Any]], name: int, kind: int) -> list[Any]:
    """The values of a field that is a list, of one type; none where it is not there.

    Raises:
        DamagedThriftError: It is no list, or of others.
    """
    values = optional(fields, name, LIST) or []
    if any(found != kind for found, _ in values):
        raise DamagedThriftError(f"its field {name} lists something else")
    return [value for _, value in values]
