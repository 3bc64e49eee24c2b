"""Messages about a run as stores keep them, and what they are found by."""

from __future__ import annotations

from dataclasses import dataclass

from vbsbatch.model.clocks import Wall


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What one channel is told about one fact."""

    run_id: str
    fact: str
    """The kind of notice, and what makes the fact unique: `end:1764475200000`."""
    channel: str
    first_at: Wall
    """When the fact was found."""
    title: str
    body: str
    tries: int = 0
    due_at: Wall
    """Not tried again before this; while one process sends it, no other may before this."""
    sent_at: Wall | None = None
    error: str | None = None
    """Why the last try failed, without any part of a URL; None while it is being sent."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies it."""
        return self.run_id, self.fact, self.channel


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How the jobs of a run end."""

    last_end: Wall | None = None
    """When the newest end of a job was."""
    longest: float | None = None
    """Seconds that the longest job took that has succeeded, from its first create on."""
