"""The keys of a plan file, as pydantic models.

The API's rules for descriptions, tags and ids come from its reference for creating backups.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vbsbatch import model
from vbsbatch.model.retention import MOST_KEPT
from vbsbatch.plan.backup_names import DEFAULT_TEMPLATE, FIELDS
from vbsbatch.plan.checks import (
    AUTO,
    RULE_VERDICTS,
    SERVICES,
    ChannelNames,
    Duration,
    MetadataPair,
    Name,
    OneOf,
    PerZone,
    RateText,
    Span,
    Template,
    Text,
    TimeOfDay,
    TimeZone,
    Uuid,
    Whole,
    YesNo,
    service_of,
)
from vbsbatch.plan.plan import PER_CHECKPOINT

CINDER_SETTLE = "2m"
"""What the class of the service says, in words."""

MAX_TAGS = 10
_TAG_REFUSED = "=*<>\\,|/"

_LIMITS = model.Limits()
_RETRY = model.Retry()
_TIMEOUTS = model.Timeouts()


def _key(description: str, default: Any = None, **more: Any) -> Any:
    """A key that may be missing; `default` is only documented, `model` sets it.

    The attribute is then None, which its type does not say: use `given()`, which leaves it out.
    """

    def shown(schema: dict[str, Any]) -> None:
        schema.pop("default", None)
        if default is not None:
            schema["default"] = default
        if "patternProperties" in schema:  # a key of another form is no key
            schema["additionalProperties"] = False

    return Field(default=None, description=description, json_schema_extra=shown, **more)


def _seconds(value: float) -> str:
    for unit, size in (("h", 3600.0), ("m", 60.0)):
        if value >= 2 * size and value % size == 0:
            return f"{value / size:g}{unit}"
    return f"{value:g}s"


class Keys(BaseModel):
    """One map of a plan: every key known, none ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def names(cls) -> list[str]:
        """The keys as a file spells them."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def required(cls) -> bool:
        """Whether some key is required."""
        return any(field.is_required() for field in cls.model_fields.values())

    def given(self) -> dict[str, Any]:
        """Only what the file says, by field name."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class BackupKeys(Keys):
    """What every backup is made with."""

    backup_name: Annotated[str, Template()] = _key(
        "Template of the backup's name. Fields: "
        + ", ".join(f"{{{field}}}" for field in FIELDS)
        + ". Characters the API refuses become -, the result is made unique and cut to 64. "
        "CBR gives all backups of a request one name: fields of single volumes are left out there.",
        DEFAULT_TEMPLATE,
    )
    description: Annotated[str, Text(64, without="<>")] = _key(
        "Kept with the backup: 1 to 64 characters, no < or >."
    )
    tags: dict[
        Annotated[str, Name(36, without=_TAG_REFUSED)],
        Annotated[str, Text(43, low=0, without=_TAG_REFUSED)],
    ] = _key(
        "At most 10 tags: key 1 to 36, value 0 to 43 characters, none of = * < > \\, | /.",
        max_length=MAX_TAGS,
    )
    full: Annotated[bool, YesNo()] = _key(
        "true makes a full backup, false an incremental one; left out, the cloud decides "
        "(VBS and CBR: incremental where they can; Cinder: full)."
    )
    full_if_no_parent: Annotated[bool, YesNo()] = _key(
        "Cinder: where an incremental backup has nothing to build on, make a full one.", False
    )
    vault: Annotated[str, Text(64)] = _key(
        "CBR: the vault, by name or id, for volumes that are in none; others stay in theirs."
    )
    associate: Annotated[bool, YesNo()] = _key(
        "CBR: put volumes that are in no vault into vault before the run, once confirmed.",
        False,
    )
    force: Annotated[bool, YesNo()] = _key("Cinder: back up volumes that are in use.", True)
    wave: Annotated[str, Text(64)] = _key("One of the plan's waves, by name; the last if left out.")


class SeenKeys(Keys):
    """What the cloud said of a volume when `plan new` wrote it down; `plan diff` compares."""

    size: Annotated[int, Whole(0, 1_000_000_000)] = _key("GB.")
    status: Annotated[str, Text(64)] = _key("The status as the service reports it, such as in-use.")
    type: Annotated[str, Text(255)] = _key("The volume type.")
    server: Annotated[str, Text(128)] = _key(
        "The id of the server it was attached to; left out for none."
    )


class VolumeKeys(BackupKeys):
    """One volume; a key of `defaults` that stands here replaces it for this volume."""

    id: Annotated[str, Uuid()] = Field(
        description="The volume's UUID, with or without hyphens, in upper or lower case."
    )
    name: Annotated[str, Text(255)] = _key("The name of the volume; its id if left out.")
    priority: Annotated[int, Whole(-1_000_000, 1_000_000)] = _key(
        "Higher goes first; equal ones go in the order of the plan.", 0
    )
    group: Annotated[str, Text(255)] = _key(
        "A word that volumes share, such as their server: they are submitted one after the other."
    )
    az: Annotated[str, Text(255)] = _key("The availability zone, for limits.per_az.")
    snapshot_id: Annotated[str, Uuid()] = _key(
        "Back up this snapshot of the volume instead of the volume as it is."
    )
    skip_if_newer_than: Annotated[float, Duration()] = _key(
        "Instead of the plan's; 0 backs this volume up however new its last backup is."
    )
    size: Annotated[int, Whole(0, 1_000_000_000)] = _key(
        "GB, for order: largest_first and for reports; where left out, what seen or the cloud says."
    )
    seen: SeenKeys = _key(
        "Written by plan new: what the cloud said then. Only its size is used, as above."
    )


class LimitKeys(Keys):
    """How much load the run may put on the cloud."""

    rate: Annotated[model.Rate, RateText()] = _key(
        "Create requests per s, min or h, at most; never exceeded in any such window.",
        str(_LIMITS.rate),
    )
    in_flight: Annotated[int, Whole(1, model.MOST_IN_FLIGHT)] = _key(
        "Backups that may be under way in the cloud at one time.", _LIMITS.in_flight
    )
    connections: Annotated[int, Whole(1, 256)] = _key(
        "Connections to the cloud for create requests.", _LIMITS.connections
    )
    per_checkpoint: Annotated[int, Whole(1, 256)] = _key(
        "CBR: disks of one vault that one create request backs up, at most.", PER_CHECKPOINT
    )
    per_group: Annotated[int, Whole(1, model.MOST_IN_FLIGHT)] = _key(
        "Backups of any one group that may be under way at one time."
    )
    per_az: Annotated[tuple[tuple[str, int], ...], PerZone()] = _key(
        "The same for an availability zone: one number for each of them, or a map of zones; "
        "* is each zone that is not named."
    )


class RuleKeys(Keys):
    """One rule, looked at before the built-in table; needs a status, a code or both."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["status"]}, {"required": ["code"]}]}
    )

    status: Annotated[int, Whole(300, 599)] = _key("HTTP status of the answer.")
    code: Annotated[str, Text(128)] = _key(
        "Error code in the answer's body; * stands for any characters."
    )
    verdict: Annotated[model.Verdict, OneOf(RULE_VERDICTS, model.Verdict)] = Field(
        description="What such an answer means for the job."
    )

    @model_validator(mode="after")
    def _names_an_answer(self) -> RuleKeys:
        if not {"status", "code"} & self.model_fields_set:
            raise ValueError("needs a status, a code or both")
        return self


class RetryKeys(Keys):
    """When a job is tried again, and for how long."""

    attempts: Annotated[int, Whole(1, 1000)] = _key(
        "Create requests per job; throttling and outages cost none.", _RETRY.attempts
    )
    base: Annotated[float, Duration(low=0.001)] = _key(
        "The first backoff; doubles with every attempt, with full jitter.", _seconds(_RETRY.base)
    )
    cap: Annotated[float, Duration(low=0.001)] = _key(
        "The longest backoff; at least base.", _seconds(_RETRY.cap)
    )
    later_every: Annotated[float, Duration(low=0.001)] = _key(
        "How often a volume that is busy is tried again.", _seconds(_RETRY.later_every)
    )
    later_for: Annotated[float, Duration()] = _key(
        "After how long of being busy the job fails.", _seconds(_RETRY.later_for)
    )
    settle: Annotated[float, Duration()] = _key(
        "How long an unanswered create may stay invisible in the cloud's lists; on CBR and "
        f"Cinder usually {CINDER_SETTLE}.",
        _seconds(_RETRY.settle),
    )
    rules: list[RuleKeys] = _key("Your own verdicts, checked before the built-in table.")


class TimeoutKeys(Keys):
    """How long one request may take, and one backup."""

    connect: Annotated[float, Duration(low=0.001, high=3600)] = _key(
        "Until the connection is established.", _seconds(_TIMEOUTS.connect)
    )
    read: Annotated[float, Duration(low=0.001, high=3600)] = _key(
        "Until the answer arrives.", _seconds(_TIMEOUTS.read)
    )
    backup: Annotated[float, Duration(low=0.001)] = _key(
        "From its create until it is available; after that its volume fails as stuck, and the "
        "backup is left as it is.",
        _seconds(_TIMEOUTS.backup),
    )


class SelectionKeys(Keys):
    """What `plan new` was asked for, so that `plan diff` knows which volumes are new.

    One of the words of a key must fit, and every key.
    """

    name: list[Annotated[str, Text(255)]] = _key("Patterns of names, * and ? and [] as in a shell.")
    metadata: list[Annotated[str, MetadataPair(600)]] = _key(
        "KEY=VALUE; every KEY must have a value here."
    )
    status: list[Annotated[str, Text(64)]] = _key("States, such as in-use.")
    az: list[Annotated[str, Text(255)]] = _key("Availability zones.")
    server: list[Annotated[str, Text(255)]] = _key("Names or ids of servers.")
    type: list[Annotated[str, Text(255)]] = _key("Volume types.")
    min_size: Annotated[int, Whole(0, 1_000_000_000)] = _key("GB.")
    max_size: Annotated[int, Whole(0, 1_000_000_000)] = _key("GB.")
    exclude: list[Annotated[str, Text(255)]] = _key("Ids, or patterns of names, to leave out.")


class WaveKeys(Keys):
    """Volumes that go together, before the next wave."""

    name: Annotated[str, Text(64)] = Field(
        description="The name that the volumes of this wave give."
    )
    max_failures: Annotated[int, Whole(0, 1_000_000)] = _key(
        "With more failed volumes than this the next wave does not start: the run pauses.", 0
    )


class WindowKeys(Keys):
    """When creates may be sent; what runs then is followed at any time."""

    opens: Annotated[int, TimeOfDay()] = Field(
        alias="from", description="The first minute in which creates are sent, such as 22:00."
    )
    closes: Annotated[int, TimeOfDay()] = Field(
        alias="to", description="The first minute in which none are; may be past midnight."
    )
    timezone: Annotated[str, TimeZone()] = Field(
        description="The time zone of these times, such as Europe/Berlin."
    )


RULES = ("last", "daily", "weekly", "monthly", "yearly", "within")


class RetentionKeys(Keys):
    """Which backups of each volume are kept when a run has ended; the others are deleted."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [name]} for name in RULES]})

    last: Annotated[int, Whole(1, MOST_KEPT)] = _key("The newest so many.")
    daily: Annotated[int, Whole(1, MOST_KEPT)] = _key(
        "The newest of each of the last so many days that have one."
    )
    weekly: Annotated[int, Whole(1, MOST_KEPT)] = _key("The same of weeks, Monday to Sunday.")
    monthly: Annotated[int, Whole(1, MOST_KEPT)] = _key("The same of months.")
    yearly: Annotated[int, Whole(1, MOST_KEPT)] = _key("The same of years.")
    within: Annotated[model.CalendarSpan, Span()] = _key(
        "All that are younger than this, counted from the newest: 30d, 1y6m, 12h; m are months."
    )
    timezone: Annotated[str, TimeZone()] = _key(
        "The time zone of days, weeks, months and years; that of window if left out, else UTC."
    )

    @classmethod
    def required(cls) -> bool:
        """Yes: one of the rules."""
        return True

    @model_validator(mode="after")
    def _has_a_rule(self) -> RetentionKeys:
        if not set(RULES) & self.model_fields_set:
            raise ValueError(f"needs one of {', '.join(RULES)}")
        return self


class PlanKeys(Keys):
    """Which volumes to back up, with which settings, under which limits."""

    model_config = ConfigDict(
        title="vbsbatch plan",
        json_schema_extra={"not": {"required": ["volumes", "volumes_from"]}},
    )

    name: Annotated[str, Text(64)] = _key(
        "The plan's name; if left out, the file's name without its ending."
    )
    cloud: Annotated[str, Text(255)] = _key(
        "An entry of clouds.yaml; --cloud and OS_CLOUD also name one."
    )
    service: Annotated[model.Service | None, OneOf(SERVICES, service_of)] = _key(
        "The backup service; auto takes the first of VBS, CBR and Cinder that the cloud offers.",
        AUTO,
    )
    defaults: BackupKeys = _key("For every volume that does not say otherwise.")
    limits: LimitKeys = _key("How much load the run may put on the cloud.")
    retry: RetryKeys = _key("When a job is tried again, and for how long.")
    timeouts: TimeoutKeys = _key("How long one request may take, and one backup.")
    deadline: Annotated[float, Duration(low=0.001)] = _key(
        "This long after its start the run sends no new create; what still waits fails."
    )
    skip_if_newer_than: Annotated[float, Duration()] = _key(
        "A volume with an available backup newer than this is skipped when the run starts."
    )
    on_preflight: Annotated[
        model.OnPreflight, OneOf(tuple(map(str, model.OnPreflight)), model.OnPreflight)
    ] = _key(
        "What happens when some volumes would surely fail: fail starts nothing, "
        "skip leaves those out.",
        str(model.OnPreflight.FAIL),
    )
    order: Annotated[model.Order, OneOf(tuple(map(str, model.Order)), model.Order)] = _key(
        "Which volumes go first among those of equal wave, group and priority: plan, as they stand "
        "here; largest_first, by size, which shortens the end of a night.",
        str(model.Order.PLAN),
    )
    polling: Annotated[model.Polling, OneOf(tuple(map(str, model.Polling)), model.Polling)] = _key(
        "How often the cloud's list is read: eager sees an end sooner for up to twice the reads, "
        "sparing halves them and the night takes longer.",
        str(model.Polling.NORMAL),
    )
    notify: Annotated[tuple[str, ...], ChannelNames()] = _key(
        "The channels of the config file that are told of the run, by name; [] is none. Left out: "
        "those that are for every plan."
    )
    selection: SelectionKeys = _key("Written by plan new: the volumes it was asked for.")
    waves: list[WaveKeys] = _key(
        "One wave after the other: the next starts when the one before has ended well enough."
    )
    window: WindowKeys = _key("When creates may be sent.")
    retention: RetentionKeys = _key(
        "Which backups of a volume are kept, of all runs of this plan, once a run has backed it up."
    )
    volumes: Annotated[list[VolumeKeys], Field(min_length=1)] = _key(
        "The volumes to back up. Not together with volumes_from."
    )
    volumes_from: Annotated[str, Text(4096)] = _key(
        "A CSV or JSON file that lists the volumes, relative to the plan."
    )


MAPS: dict[tuple[str, ...], type[Keys]] = {
    (): PlanKeys,
    ("defaults",): BackupKeys,
    ("selection",): SelectionKeys,
    ("limits",): LimitKeys,
    ("retry",): RetryKeys,
    ("retry", "rules"): RuleKeys,
    ("timeouts",): TimeoutKeys,
    ("volumes",): VolumeKeys,
    ("volumes", "seen"): SeenKeys,
    ("waves",): WaveKeys,
    ("window",): WindowKeys,
    ("retention",): RetentionKeys,
}
"""The map at each path, list indexes left out."""


SCHEMA_FILE = Path(__file__).with_name("plan.schema.json")
"""The schema as a file, for editors; a test compares it with the models."""


def editor_line() -> str:
    """The comment in a plan that tells editors where the schema is."""
    return f"# yaml-language-server: $schema={SCHEMA_FILE.as_uri()}"


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a plan file, for editors; `load` checks more than that."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **PlanKeys.model_json_schema(),
    }
