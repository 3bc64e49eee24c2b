"""One volume of a plan: what is to be backed up, and what is said about its backup."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What a plan says about backups, for all volumes or for one; None where it says nothing."""

    backup_name: str | None = None
    description: str | None = None
    tags: tuple[tuple[str, str], ...] | None = None
    full: bool | None = None
    full_if_no_parent: bool | None = None
    force: bool | None = None
    wave: str | None = None

    def over(self, others: Choices) -> Choices:
        """These choices, and the others' where these say nothing."""
        said = {
            each.name: value
            for each in fields(self)
            if (value := getattr(self, each.name)) is not None
        }
        return replace(others, **said)


NO_CHOICES = Choices()


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the cloud said of a volume when a plan was made from it; None where nothing."""

    size: int | None = None
    """GB."""
    status: str | None = None
    type: str | None = None
    server: str | None = None
    """The id of the server it was attached to; None for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanVolume:
    """One volume of a plan; volumes that say the same share one `own`."""

    id: str
    """Lower case, with hyphens."""
    name: str
    priority: int = 0
    group: str | None = None
    az: str | None = None
    snapshot_id: str | None = None
    own: Choices = NO_CHOICES
    skip_if_newer_than: float | None = None
    """Seconds; instead of the plan's."""
    seen: Seen | None = None
