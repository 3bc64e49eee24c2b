"""Other runs of the store that hold volumes of a run, and the messages about them.

A volume has at most one open job in a store. If the run that has it is without an engine, nothing
follows the job to its end: a person must resume that run, or have another run take the volume over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from shlex import quote

from vbsbatch.model.states import RunState

_NAMED = 3
"""How many runs a message names at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockingRun:
    """Another run whose open jobs hold volumes that a run waits for."""

    run_id: str
    state: RunState
    """As its engine last recorded it."""
    driven: bool
    """Whether an engine drives it now."""
    volumes: int = 1
    db_option: str = ""
    """The option a command about the run needs to find its store, with a leading blank."""

    @property
    def standing(self) -> str:
        """Whether anything follows its jobs, in words."""
        if self.driven:
            return "at work"
        return "stopped" if self.state is RunState.STOPPED else "its engine is gone"

    @property
    def resume(self) -> str:
        """The command that resumes it."""
        run_id, option = quote(self.run_id), self.db_option
        return f"vbsbatch resume {run_id}{option}"


def summed(holders: Iterable[BlockingRun]) -> list[BlockingRun]:
    """Return each run once, with the sum of its volumes."""
    totals: Counter[BlockingRun] = Counter()
    for holder in holders:
        totals[replace(holder, volumes=0)] += holder.volumes
    return [replace(holder, volumes=volumes) for holder, volumes in totals.items()]


def take_over(run_id: str, holders: Sequence[BlockingRun]) -> str:
    """Return the command with which the run takes over volumes held by runs without an engine."""
    option = holders[0].db_option if holders else ""
    return f"vbsbatch take-over {quote(run_id)}{option}"


def who_holds(holders: Sequence[BlockingRun]) -> str:
    """Say which runs hold how many volumes, and the state of these runs."""
    named = [f"run {each.run_id} holds {each.volumes} ({each.standing})" for each in holders]
    more = len(named) - _NAMED
    return ", ".join([*named[:_NAMED], *([f"{more} more runs"] if more > 0 else [])])


def waits_for(run_id: str, holders: Sequence[BlockingRun]) -> str:
    """Say which other runs the volumes wait for, and what the user can do about it."""
    volumes = sum(each.volumes for each in holders)
    wait = "1 volume waits" if volumes == 1 else f"{volumes} volumes wait"
    words = f"{wait} for another run: {who_holds(holders)}"
    idle = [each for each in holders if not each.driven]
    if not idle:
        return words
    commands = ", ".join(each.resume for each in idle[:_NAMED])
    return f"{words}; {commands}, or {take_over(run_id, idle)}"


def held_by(holder: BlockingRun) -> str:
    """Say why one volume is not backed up now."""
    if holder.driven:
        return f"run {holder.run_id} is at work on this volume"
    return f"run {holder.run_id} holds this volume ({holder.standing})"
