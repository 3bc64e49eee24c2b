"""Backup names from templates: only what the API takes, at most 64 long, no two equal in a run.

The rules for a name (1-64 of `A-Z a-z 0-9 _ -`, not starting with `auto`) are the API reference's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from hashlib import blake2b
from string import Formatter

from vbsbatch.plan.units import quoted

DEFAULT_TEMPLATE = "{plan}-{volume}-{run}"
FIELDS = ("plan", "volume", "id", "run", "date", "group", "no")
MAX_LENGTH = 64

_SEPARATORS = re.compile(r"[-_]{2,}")
_REFUSED = re.compile(r"[^A-Za-z0-9_-]")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_HASH_LENGTH = 10


def template_fields(template: str) -> frozenset[str]:
    """The fields of `template`; ValueError says what is wrong with it.

    Only plain `{field}` of `FIELDS`; `{{` and `}}` stand for braces.
    """
    fields = set()
    try:
        for _, name, spec, conversion in Formatter().parse(template):
            if name is not None:
                _check_field(name, bool(spec or conversion))
                fields.add(name)
    except _BadField as error:
        raise ValueError(str(error)) from None
    except ValueError:
        raise ValueError('has a lone "{" or "}": write {{ or }} for a brace itself') from None
    return frozenset(fields)


class _BadField(Exception):
    pass


def _check_field(name: str, decorated: bool) -> None:
    known = ", ".join(FIELDS)
    if name not in FIELDS:
        close = get_close_matches(name, FIELDS, 1)
        hint = f": did you mean {{{close[0]}}}?" if close else ":"
        raise _BadField(f"has an unknown field {quoted(name)}{hint} the fields are {known}")
    if decorated:
        raise _BadField(f'has more than a name in "{{{name}}}": write {{{name}}} alone')


class Names:
    """Makes the names of one run; remembers eight bytes of each, so that no two are equal."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def name(self, template: str, values: Mapping[str, str], volume_id: str) -> str:
        """The name that `template` gives with `values`, made valid and different from all before.

        A name that is too long or taken (upper and lower case count as the same, as they do in the
        cloud's search) ends in a hash of the whole name and the volume id: the same plan in the
        same run always gives the same names.
        """
        whole = template.format_map(values)
        name = _REFUSED.sub("-", whole)
        if not name or name[:4].lower() == "auto":
            name = "b-" + name
        if len(name) > MAX_LENGTH:
            name = _ending_in_hash(name, f"{whole}\0{volume_id}")
        again = 0
        while not self._take(name):
            again += 1
            name = _ending_in_hash(name, f"{whole}\0{volume_id}\0{again}")
        return name

    def _take(self, name: str) -> bool:
        """Whether it is new: equal names have equal hashes, so none is used twice."""
        mark = _hash(name.lower())
        if mark in self._taken:
            return False
        self._taken.add(mark)
        return True


SHARED_LENGTH = 50
"""Characters of a shared name: the service's operation and number follow, up to 64."""

_OF_ONE_VOLUME = frozenset({"volume", "id", "group", "no"})


def shared_name(template: str, values: Mapping[str, str]) -> str:
    """The name that `template` gives to all backups of one run, valid, ending in the run's id.

    Fields that differ between volumes are left out, and the separators around them are reduced to
    one. What comes before the run's id is cut so that the name is at most `SHARED_LENGTH` long.
    """
    run = values["run"]
    empty = dict.fromkeys(_OF_ONE_VOLUME, "")
    told = template.format_map({**values, **empty, "run": ""})
    prefix = _SEPARATORS.sub("-", _REFUSED.sub("-", told)).strip("-_")
    if prefix[:4].lower() == "auto" or prefix[:6].lower() == "manual":
        prefix = f"b-{prefix}"
    prefix = prefix[: SHARED_LENGTH - 1 - len(run)].rstrip("-_")
    return f"{prefix}-{run}" if prefix else run


def _ending_in_hash(name: str, whole: str) -> str:
    number, end = _hash(whole), ""
    while len(end) < _HASH_LENGTH:
        number, digit = divmod(number, len(_DIGITS))
        end += _DIGITS[digit]
    return f"{name[: MAX_LENGTH - 1 - _HASH_LENGTH]}-{end}"


def _hash(text: str) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
