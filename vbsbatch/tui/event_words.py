"""The engine's notes in words: the store keeps them as short `key=value` texts."""

from __future__ import annotations

import re

from vbsbatch.tui.alphabet import ARROW

_LIMITER = re.compile(r"(\S+)->(\S+) reason=(\S+) retry_after=(\S+)")
_COMMAND = re.compile(r"in the name of (?P<who>.+?): (?P<verb>[a-z-]+): (?P<result>.*)", re.DOTALL)


def of_limiter(text: str, *, short: bool = False) -> str:
    """`6/s->5/s reason=429 retry_after=30s` as `rate 6/s → 5/s: the gateway said 429, wait 30s`."""
    found = _LIMITER.fullmatch(text)
    if found is None:
        return text.replace("->", f" {ARROW} ")
    before, after, reason, wait = found.groups()
    rest = "" if wait == "-" else f", wait {wait}"
    if short:
        return f"{before} {ARROW} {after}: {reason}{rest}"
    return f"rate {before} {ARROW} {after}: the gateway said {reason}{rest}"


def of_command(text: str) -> str:
    """`in the name of A: pause: no new creates` as `A asked: pause: no new creates`."""
    found = _COMMAND.fullmatch(text)
    if found is None:
        return text
    return f"{found['who']} asked: {found['verb']}: {answer(found['verb'], found['result'])}"


def answer(verb: str, result: str) -> str:
    """An engine's answer without the verb that stands before it: `paused: no new creates`."""
    return result.removeprefix(f"{verb}d: ")
