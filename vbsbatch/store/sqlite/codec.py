"""How values are stored: each type of column with its check, and both conversions.

SQLite takes any value in any column. A store that was edited, damaged or forged must end a command
with one line, and must not put into an engine what no vbsbatch wrote: so rows are checked before
they are converted. Types that were checked once cost one look-up in a set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache
from math import inf
from operator import attrgetter
from typing import Any

from vbsbatch.model import (
    BackupSettings,
    CalendarSpan,
    Cloud,
    Elapsed,
    Limits,
    Operation,
    Polling,
    Rate,
    Retention,
    Retry,
    Rule,
    RunState,
    Service,
    Settings,
    Timeouts,
    Verdict,
    VerifySummary,
    Wall,
    Wave,
    Window,
)
from vbsbatch.store.records import STATES, VERDICTS, damaged, ms, one_of
from vbsbatch.store.sqlite.schema import hex_text, request_text, uuid_text

_LAST = 253_402_300_799_999
"""The last millisecond of the year 9999, after which no time can be shown."""
_LARGE = 2**53

STATE_NUMBER = {state: number for number, state in enumerate(STATES)}
VERDICT_NUMBER = {verdict: number for number, verdict in enumerate(VERDICTS)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnType:
    """A type of column. Neither conversion ever gets None, which is NULL."""

    types: tuple[type, ...]
    """What a query may give."""
    most: int | None = None
    """Numbers lie between this and its negative."""
    encode: Callable[[Any], Any] | None = None
    """None for a value that is stored as it is."""
    decode: Callable[[Any], Any] | None = None
    text: Callable[[str], str] | None = None
    """For a column whose values may be packed: the SQL that gives their text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumn:
    """A column of a table, and the attribute of the value that it keeps."""

    name: str
    type: ColumnType
    field: str
    null: bool


def column(name: str, kind: ColumnType, field: str = "", *, null: bool = False) -> TableColumn:
    """A column that keeps the attribute of its own name, unless `field` names another."""
    return TableColumn(name=name, type=kind, field=field or name, null=null)


class RowCodec:
    """Some columns of one table, in the order in which they are read and written."""

    def __init__(self, table: str, *columns: TableColumn) -> None:
        self.columns = columns
        self.names = tuple(each.name for each in columns)
        self.fields = tuple(each.field for each in columns)
        self.values_of = attrgetter(*self.fields)
        self._table = table
        self._at = {field: at for at, field in enumerate(self.fields)}
        kinds = [each.type for each in columns]
        self._encoders = [(at, kind.encode) for at, kind in enumerate(kinds) if kind.encode]
        self._decoders = [
            (each.field, each.type.decode) for each in columns if each.type.decode is not None
        ]
        self._types = tuple(
            (*each.type.types, *([type(None)] if each.null else [])) for each in columns
        )
        self._numbers = [
            (at, each.type.most) for at, each in enumerate(columns) if each.type.most is not None
        ]
        self._seen: set[tuple[type, ...]] = set()

    def selected(self, alias: str, **instead: str) -> str:
        """The SQL list of these columns, ids as text; `instead` has expressions for some."""
        return ", ".join(
            instead.get(each.name) or _as_text(f"{alias}.{each.name}", each.type)
            for each in self.columns
        )

    def encode(self, value: Any, *, absent: Collection[str] = ()) -> tuple[Any, ...]:
        """The row that keeps the value; what is in the fields `absent` is not stored."""
        values = list(self.values_of(value))
        for field in absent:
            values[self._at[field]] = None
        for at, encode in self._encoders:
            if values[at] is not None:
                values[at] = encode(values[at])
        return tuple(values)

    def decode(self, row: Sequence[Any]) -> dict[str, Any]:
        """The fields of the value that a row keeps; `StoreUnusable` for what is no such row."""
        self.check(row)
        found = dict(zip(self.fields, row, strict=True))
        for field, decode in self._decoders:
            if found[field] is not None:
                found[field] = decode(found[field])
        return found

    def check(self, row: Sequence[Any]) -> None:
        """Raise `StoreUnusable` for a row with a value that no vbsbatch wrote."""
        types = tuple(map(type, row))
        if types not in self._seen:
            self._check_types(types)
        for at, most in self._numbers:
            value = row[at]
            if value is not None and not -most <= value <= most:
                raise damaged(f"a row of {self._table}")

    def checked(self, rows: Iterable[Any]) -> Iterator[Any]:
        """The rows as they are, each of them checked."""
        for row in rows:
            self.check(row)
            yield row

    def _check_types(self, types: tuple[type, ...]) -> None:
        if len(types) != len(self._types):
            raise damaged(f"a row of {self._table}")
        for name, found, right in zip(self.names, types, self._types, strict=True):
            if found not in right:
                raise damaged(f"a {name} of {self._table}")
        self._seen.add(types)


def _as_text(name: str, kind: ColumnType) -> str:
    return name if kind.text is None else kind.text(name)


# Texts and ids


def storable(text: str) -> str:
    """The text as SQLite can hold it: a server's JSON may contain half a surrogate pair."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def pack_hex(text: str) -> bytes | str:
    """32 lower-case hexadecimal digits as 16 bytes, anything else as the text it is."""
    if len(text) != 32:
        return storable(text)
    try:
        packed = bytes.fromhex(text)
    except ValueError:
        return storable(text)
    return packed if packed.hex() == text else storable(text)


def pack_uuid(text: str) -> bytes | str:
    """A lower-case UUID with its hyphens as 16 bytes, anything else as the text it is."""
    if len(text) != 36 or not text[8] == text[13] == text[18] == text[23] == "-":
        return storable(text)
    packed = pack_hex(text.replace("-", ""))
    return packed if isinstance(packed, bytes) else storable(text)


def pack_request(text: str) -> bytes | str:
    """A request id `req-<uuid>` as 16 bytes, anything else as the text it is.

    A bare UUID stays text: 16 bytes in this column mean `req-<uuid>`.
    """
    packed = pack_uuid(text[4:]) if text.startswith("req-") else text
    return packed if isinstance(packed, bytes) else storable(text)


# Values that are stored as text


def rate_text(rate: Rate) -> str:
    """A rate as `count/seconds`."""
    return f"{rate.count:.15g}/{rate.per:.15g}"


def read_rate(text: str) -> Rate:
    """The inverse of `rate_text`."""
    try:
        count, per = map(float, text.split("/"))
    except (ValueError, AttributeError) as error:
        raise damaged("a rate") from error
    if not (0 < count < inf and 0 < per < inf):
        raise damaged("a rate")
    return Rate(count=count, per=per)


def json_object(text: str) -> dict[str, Any]:
    """What a command's argument is; raises `StoreUnusable`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged("an argument of a command") from error
    if not isinstance(found, dict):
        raise damaged("an argument of a command")
    return found


def rows_of(text: str) -> Any:
    """The rows that SQLite grouped as JSON; raises `StoreUnusable` for a value JSON cannot hold, as
    it writes `Inf` for a number beyond all others."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise damaged("a value") from error


def whole_number(value: object) -> int:
    """A number that a query made of others; raises `StoreUnusable` for anything else."""
    if type(value) is not int or not -_LARGE <= value <= _LARGE:
        raise damaged("a number")
    return value


def _run_state(word: str) -> RunState:
    try:
        return RunState(word)
    except ValueError as error:
        raise damaged("a state of a run") from error


def settings_text(settings: Settings) -> str:
    """The settings that a run is frozen with, as JSON."""
    from pydantic import TypeAdapter  # slow to import, needed only where a run is made

    return TypeAdapter(Settings).dump_json(settings).decode()


def read_settings(text: str) -> Settings:
    """The inverse; a part that is absent is as in a new plan, an unknown one is ignored.

    Raises `ValueError` for anything else than what `Settings` may hold. Without pydantic: to import
    it takes longer than all else that a command or a screen does before its first line.
    """
    try:
        settings = _made(Settings, json.loads(text))
    except TypeError as error:  # a rule without its verdict, or no list of rules
        raise ValueError(str(error)) from error
    assert isinstance(settings, Settings)
    return settings


def backup_settings_text(settings: BackupSettings) -> str:
    """Backup settings as JSON, without the parts that are as usual."""
    parts = {
        each.name: value
        for each in fields(BackupSettings)
        if (value := getattr(settings, each.name)) != each.default
    }
    if settings.tags:
        parts["tags"] = dict(settings.tags)
    return json.dumps(parts, separators=(",", ":"))


@lru_cache(maxsize=256)  # most jobs of a run have the same
def read_backup_settings(text: str) -> BackupSettings:
    """The inverse of `backup_settings_text`; raises `StoreUnusable`."""
    try:
        parts = json.loads(text)
        if "tags" in parts:
            parts["tags"] = list(parts["tags"].items())
        settings = _made(BackupSettings, parts)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise damaged("settings of a backup") from error
    assert isinstance(settings, BackupSettings)
    return settings


def verified_text(found: VerifySummary) -> str:
    """What `verify` found, as JSON."""
    parts = {
        "differences": dict(found.differences),
        "leftovers": found.leftovers,
        "pruned": found.pruned,
    }
    return json.dumps(parts, separators=(",", ":"))


def read_verified(text: str) -> VerifySummary:
    """The inverse of `verified_text`; raises `StoreUnusable`."""
    try:
        parts = json.loads(text)
        kinds = tuple(parts["differences"].items())
        numbers = (parts["leftovers"], parts["pruned"], *(number for _, number in kinds))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise damaged("a result of verify") from error
    if not all(type(number) is int and 0 <= number < _LARGE for number in numbers):
        raise damaged("a result of verify")
    return VerifySummary(differences=kinds, leftovers=numbers[0], pruned=numbers[1])


_PARTS: dict[str, type[Any]] = {
    part.__name__: part
    for part in (CalendarSpan, Limits, Rate, Retention, Retry, Rule, Timeouts, Wave, Window)
}
_WORDS: dict[str, type[StrEnum]] = {
    kind.__name__: kind for kind in (Operation, Polling, Service, Verdict)
}
_PLAIN: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "float": (int, float),
    "int": (int,),
    "str": (str,),
}
"""Type of a field -> types of the value in JSON."""


def _made(kind: type[Any], found: Any) -> Any:
    """The dataclass that a JSON object stands for."""
    if not isinstance(found, dict):
        raise ValueError(f"{kind.__name__}: {found!r}")  # noqa: TRY004 - a fault of the text
    known = [each for each in fields(kind) if each.name in found]
    return kind(**{each.name: _value(str(each.type), found[each.name]) for each in known})


def _value(wanted: str, value: Any) -> Any:
    """The value of a field whose annotation is `wanted`."""
    plain = wanted.removesuffix(" | None")
    if value is None and plain != wanted:
        return None
    if plain in _PLAIN:
        if type(value) not in _PLAIN[plain]:
            raise ValueError(f"{wanted}: {value!r}")
        return float(value) if plain == "float" else value
    if plain in _PARTS:
        return _made(_PARTS[plain], value)
    if plain in _WORDS:
        return _WORDS[plain](value)
    inner = plain.removeprefix("tuple[").removesuffix("]")
    if inner.endswith(", ..."):
        return tuple(_value(inner.removesuffix(", ..."), each) for each in value)
    return tuple(_value(*pair) for pair in zip(inner.split(", "), value, strict=True))


def _time(clock: Callable[[float], Any]) -> ColumnType:
    """A moment in whole milliseconds."""
    return ColumnType(types=(int,), most=_LAST, encode=ms, decode=lambda at: clock(at / 1000))


NUMBER = ColumnType(types=(int,), most=_LARGE)
AMOUNT = ColumnType(types=(int, float), most=_LARGE)
YES_NO = ColumnType(types=(int,), most=1, encode=int, decode=bool)
SECONDS = ColumnType(types=(int,), most=_LARGE, encode=ms, decode=lambda value: value / 1000)
WALL, CLOUD, ELAPSED = _time(Wall), _time(Cloud), _time(Elapsed)
TEXT = ColumnType(types=(str,), encode=storable)
UUID = ColumnType(types=(str,), encode=pack_uuid, text=uuid_text)
HEX = ColumnType(types=(str,), encode=pack_hex, text=hex_text)
REQUEST = ColumnType(types=(str,), encode=pack_request, text=request_text)
JOB_STATE = ColumnType(
    types=(int,),
    most=_LARGE,
    encode=STATE_NUMBER.__getitem__,
    decode=lambda number: one_of(STATES, number, "a state"),
)
VERDICT = ColumnType(
    types=(int,),
    most=_LARGE,
    encode=VERDICT_NUMBER.__getitem__,
    decode=lambda number: one_of(VERDICTS, number, "a verdict"),
)
RUN_STATE = ColumnType(types=(str,), decode=_run_state)
RATE = ColumnType(types=(str,), encode=rate_text, decode=read_rate)
VERIFIED = ColumnType(types=(str,), encode=verified_text, decode=read_verified)
ARGUMENT = ColumnType(types=(str,), decode=json_object)
SETTINGS = ColumnType(types=(str,), encode=settings_text, decode=read_settings)
BACKUP_SETTINGS = ColumnType(types=(str,), encode=backup_settings_text, decode=read_backup_settings)
EVENT_KIND = ColumnType(types=(str, int))
