"""A small cloud whose answers are decided from outside: three services, a few backups.

It refuses nothing by itself: the engine may not rely on protection such as a refusal for a busy
volume. Every change is stamped with the cloud's clock at that moment; lists can be shown as they
were some seconds ago.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import httpx

from tests.model.harness import Clocks

MAKING, RESTORING, DELETING = 40.0, 40.0, 1.0
"""Seconds that a backup, a restore, a deletion takes."""
NEVER = float("inf")


@dataclass(kw_only=True)
class Made:
    """A backup."""

    id: str
    volume: str
    name: str
    at: float
    """The true time of its creation; the other times are true ones too, except the stamps."""
    ends_at: float
    created: float
    """The cloud's clock at that moment."""
    touches: list[tuple[float, float]]
    """When it changed, and the cloud's clock at that moment."""
    outcome: str = "available"
    ended: bool = False
    deleted_at: float = NEVER
    restoring: tuple[float, float] = (NEVER, NEVER)
    ours: bool = True
    """Made by a create of this night."""
    checkpoint: str | None = None
    """The id that CBR's answer named."""

    def status(self, at: float) -> str | None:
        """The status at a time, None where lists do not show it."""
        if at < self.at or at >= self.deleted_at:
            return None
        if at < self.ends_at:
            return "creating"
        return "restoring" if self.restoring[0] <= at < self.restoring[1] else self.outcome

    def updated(self, at: float) -> float:
        """What the cloud's clock showed when it last changed before a time."""
        return next(stamp for when, stamp in reversed(self.touches) if when <= at)

    @property
    def live(self) -> bool:
        """Whether it is, or is going to be, good."""
        return self.outcome == "available" and self.deleted_at == NEVER


@dataclass(kw_only=True)
class Disk:
    """A volume."""

    id: str
    updated: float
    restoring_until: float = -NEVER
    restored: list[float] = field(default_factory=list)
    """When restores of it began."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that waits for a decision."""

    kind: str
    """`create`, `restore` or `list`."""
    volume: str | None = None
    more: tuple[str, ...] = ()
    """Further volumes of the same create."""
    name: str | None = None
    backup: str | None = None

    @property
    def volumes(self) -> tuple[str, ...]:
        """All volumes."""
        return () if self.volume is None else (self.volume, *self.more)


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer."""

    status: int = 200
    content: Any = None
    lost: bool = False
    after: float = 0.5
    """Seconds until it arrives."""


class SmallCloud:
    """The state, and the answers to requests that need no decision."""

    def __init__(self, clocks: Clocks, volumes: list[str], service: str) -> None:
        self.clocks = clocks
        self.service = service
        """The word of plans."""
        start = clocks.true()
        self.disks = {each: Disk(id=each, updated=start - 1800.0) for each in volumes}
        self.backups: list[Made] = []
        self.jobs: dict[str, tuple[str, float, Made]] = {}
        """Cloud jobs: what they do, when they end, and with which backup."""
        self.late: list[tuple[float, Asked]] = []
        """Requests that the cloud carries out later."""
        self.creates: list[tuple[float, str]] = []
        """When a create arrived, and for which volume."""
        self.twice: list[str] = []
        """What was done twice, in words."""
        self.tokens = 0
        self.refused: set[str] = set()

    def seed(self, volume: str, name: str) -> str:
        """Add an earlier backup, made when its volume was last changed."""
        at = self.disks[volume].updated
        made = self._make(volume, name, at - MAKING)
        made.ours, made.ended = False, True
        made.touches.append((at, at))
        return made.id

    def sign_in(self) -> str:
        """Issue a new token."""
        self.tokens += 1
        return f"token-{self.tokens}"

    def revoke(self) -> None:
        """Revoke the newest token."""
        self.refused.add(f"token-{self.tokens}")

    # What happens by itself

    def advance(self) -> None:
        """Carry out what is due by now, and stamp what has ended."""
        now = self.clocks.true()
        due = [each for each in self.late if each[0] <= now]
        self.late = [each for each in self.late if each[0] > now]
        for at, asked in due:
            self.do(asked, at)
        for backup in self.backups:
            if not backup.ended and now >= backup.ends_at:
                backup.ended = True
                self._touch(backup, backup.ends_at)
            until = backup.restoring[1]
            if until <= now and backup.touches[-1][0] < until:
                self._touch(backup, until)
                self.disks[backup.volume].updated = until + self.clocks.cloud_set

    def _touch(self, backup: Made, at: float) -> None:
        backup.touches.append((at, at + self.clocks.cloud_set))

    def do(self, asked: Asked, at: float | None = None) -> str:
        """Carry out a create or a restore; returns the id that the answer names."""
        at = self.clocks.true() if at is None else at
        if asked.kind == "restore":
            return self._restore(asked, at)
        assert asked.volume is not None
        for volume in asked.volumes:
            if any(each.volume == volume and each.live and each.ours for each in self.backups):
                self.twice.append(f"a second backup of {volume} was made")
        made = [self._make(volume, asked.name or "", at) for volume in asked.volumes]
        if self.service == "cbr":
            for number, each in enumerate(made, 1):
                each.name += f"-{number:04d}" if asked.more else ""
                each.checkpoint = f"checkpoint-{made[0].id}"
            return made[0].checkpoint or ""
        native = self.service == "cinder"
        return made[0].id if native else self._job("create", made[0].ends_at, made[0])

    def accepted(self, asked: Asked, named: str) -> dict[str, Any]:
        """The answer to a create or restore that was carried out."""
        if self.service == "cinder" and asked.kind == "create":
            return {"backup": {"id": named}}
        if self.service == "cbr":
            vault = {"id": "vault", "resources": [{"id": each} for each in asked.volumes]}
            return {"checkpoint": {"id": named, "vault": vault | {"skipped_resources": []}}}
        return {"job_id": named}

    def refusal(self) -> dict[str, Any]:
        """A refusal of a create after which it may be sent again."""
        if self.service == "cinder":
            busy = "Volume to be backed up must be available or in-use, but the current status is"
            return {"badRequest": {"code": 400, "message": f'{busy} "backing-up".'}}
        if self.service == "cbr":
            return {"error_code": "BackupService.7202", "error_msg": "no snapshot"}
        return {"error": {"code": "VolumeBackup.0017", "message": "Failed to create the snapshot."}}

    def _make(self, volume: str, name: str, at: float) -> Made:
        made = Made(
            id=f"backup-{len(self.backups) + 1}",
            volume=volume,
            name=name,
            at=at,
            ends_at=at + MAKING,
            created=at + self.clocks.cloud_set,
            touches=[(at, at + self.clocks.cloud_set)],
        )
        self.backups.append(made)
        return made

    def _restore(self, asked: Asked, at: float) -> str:
        backup = next(each for each in self.backups if each.id == asked.backup)
        disk = self.disks[backup.volume]
        if disk.restored:
            self.twice.append(f"{disk.id} was restored again")
        disk.restored.append(at)
        backup.restoring = (at, at + RESTORING)
        disk.restoring_until = at + RESTORING
        self._touch(backup, at)
        disk.updated = at + self.clocks.cloud_set
        return self._job("restore", at + RESTORING, backup)

    def _job(self, kind: str, ends_at: float, backup: Made) -> str:
        name = f"job-{len(self.jobs) + 1}"
        self.jobs[name] = kind, ends_at, backup
        return name

    def making(self) -> Made | None:
        """Return the oldest backup in progress."""
        now = self.clocks.true()
        return next((each for each in self.backups if each.status(now) == "creating"), None)

    def end(self, made: Made, outcome: str) -> None:
        """End a backup now."""
        made.ends_at, made.outcome = self.clocks.true(), outcome
        self.advance()

    # Answers

    def listed(
        self, ago: float = 0.0, *, limit: int = 1000, marker: str = "", offset: int = 0
    ) -> dict[str, Any]:
        """Return the list of backups, newest first, as it was some seconds ago: what follows an
        entry, or a number of them."""
        at = self.clocks.true() - ago
        shown = [each for each in reversed(self.backups) if each.status(at)]
        ids = [each.id for each in shown]
        shown = shown[ids.index(marker) + 1 if marker in ids else offset :]
        page: dict[str, Any] = {"backups": [self._entry(each, at) for each in shown[:limit]]}
        if self.service == "cbr":
            page["count"] = len(ids)
        elif len(shown) > limit:
            page["backups_links"] = [_next(page["backups"][-1]["id"])]
        return page

    def repeated(self) -> dict[str, Any]:
        """Return a list that shifts while it is read: entries repeat, and more of them follow."""
        page = self.listed()
        entries = page["backups"]
        if self.service == "cbr":
            return {"backups": [*entries, *entries], "count": 3 * len(entries)}
        links = [_next(entries[-1]["id"])] if entries else []
        return {"backups": [*entries, *entries], "backups_links": links}

    def _entry(self, backup: Made, at: float) -> dict[str, Any]:
        if self.service == "cbr":
            status = backup.status(at)
            return {
                "id": backup.id,
                "name": backup.name,
                "resource_id": backup.volume,
                "checkpoint_id": backup.checkpoint,
                "status": "protecting" if status == "creating" else status,
                "created_at": _zulu(backup.created),
                "updated_at": _zulu(backup.updated(at)),
            }
        return {
            "id": backup.id,
            "name": backup.name,
            "volume_id": backup.volume,
            "status": backup.status(at),
            "created_at": _zulu(backup.created),
            "updated_at": _zulu(backup.updated(at)),
            "size": 10,
            "fail_reason": "it failed" if backup.outcome == "error" else None,
        }

    def answer(self, method: str, path: str, query: str) -> Said:
        """Return one resource, or the volumes."""
        last = path.rpartition("/")[2]
        if last == "operation-logs":
            return Said(content={"operation_logs": [self._log(each) for each in self.backups]})
        if last == "backups" or (last == "detail" and "/backups" in path):
            asked = dict(parse_qsl(query))
            limit, offset = int(asked.get("limit", 1000)), int(asked.get("offset", 0))
            marker = asked.get("marker", "")
            return Said(content=self.listed(limit=limit, marker=marker, offset=offset))
        if last == "detail":
            volumes = [self._volume(disk) for disk in self.disks.values()]
            return Said(content={"volumes": volumes})
        if "/jobs/" in path:
            return self._show_job(last)
        if "/volumes/" in path:
            disk = self.disks.get(last)
            return Said(content={"volume": self._volume(disk)}) if disk else _MISSING
        found = next((each for each in self.backups if each.id == last), None)
        if found is None or found.status(self.clocks.true()) is None:
            return _MISSING
        if method == "DELETE":
            found.deleted_at = self.clocks.true() + DELETING
            return Said(status=202)
        return Said(content={"backup": self._entry(found, self.clocks.true())})

    def _log(self, backup: Made) -> dict[str, Any]:
        failed = backup.outcome == "error"
        over = self.clocks.true() >= backup.ends_at
        return {
            "id": f"log-{backup.id}",
            "checkpoint_id": backup.checkpoint,
            "status": ("failed" if failed else "success") if over else "running",
            "error_info": {"code": "BackupService.7202", "message": "no snapshot"},
            "started_at": _zulu(backup.created),
            "extra_info": {
                "resource": {"id": backup.volume},
                "backup": {"backup_id": backup.id},
                "common": {"progress": 50},
            },
        }

    def _volume(self, disk: Disk) -> dict[str, Any]:
        busy = self.clocks.true() < disk.restoring_until
        status = "restoring-backup" if busy else "available"
        return {"id": disk.id, "status": status, "size": 10, "updated_at": _zulu(disk.updated)}

    def _show_job(self, name: str) -> Said:
        if name not in self.jobs:
            return Said(status=404, content={"error": {"code": "common.0011", "message": "no"}})
        kind, ends_at, backup = self.jobs[name]
        failed = kind == "create" and backup.outcome == "error"
        over = self.clocks.true() >= (backup.ends_at if kind == "create" else ends_at)
        content: dict[str, Any] = {"status": "RUNNING", "entities": {"backup_id": backup.id}}
        if over:
            content["status"] = "FAIL" if failed else "SUCCESS"
            content["error_code"] = "VolumeBackup.0064" if failed else None
        return Said(content=content)


_MISSING = Said(status=404, content={"itemNotFound": {"code": 404, "message": "not found"}})


def _next(marker: str) -> dict[str, str]:
    return {"rel": "next", "href": f"http://127.0.0.1/?limit=1000&marker={marker}"}


@lru_cache(maxsize=4096)
def _zulu(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


@lru_cache(maxsize=256)
def _date(at: int) -> str:
    return formatdate(at, usegmt=True)


class Wire(httpx.AsyncBaseTransport):
    """Carries requests to the cloud; passes those that need a decision to the decider."""

    def __init__(self, cloud: SmallCloud, decide: Callable[[Asked], Awaitable[Said]]) -> None:
        self._cloud = cloud
        self._decide = decide

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        cloud = self._cloud
        cloud.advance()
        query = request.url.query.decode("ascii")
        asked = read_request(request, query)
        refusal = self._refusal(request)
        if asked is not None and asked.kind != "list":
            cloud.creates.append((cloud.clocks.true(), asked.volume or ""))
        if refusal is not None:
            said = refusal
        elif asked is not None:
            said = await self._decide(asked)
            said = self._refusal(request) or said
        else:
            said = cloud.answer(request.method, request.url.path, query)
        if said.lost:
            raise httpx.ReadError("Connection reset by peer", request=request)
        body = b"" if said.content is None else json.dumps(said.content).encode()
        headers = {"date": _date(int(cloud.clocks.cloud())), "content-type": "application/json"}
        return httpx.Response(said.status, headers=headers, content=body, request=request)

    def _refusal(self, request: httpx.Request) -> Said | None:
        if request.headers.get("x-auth-token") not in self._cloud.refused:
            return None
        return Said(status=401, content={"error": {"message": "token invalid", "code": 401}})


def read_request(request: httpx.Request, query: str) -> Asked | None:
    """Return the decision that a request needs, None for one that is always answered."""
    path = request.url.path
    if request.method == "GET":
        further = "marker" in query or "offset" in query or query.endswith("limit=1")
        first = path.endswith(("/backups/detail", "/backups")) and not further
        return Asked(kind="list") if first else None
    if request.method != "POST":
        return None
    stream = request.stream
    assert isinstance(stream, httpx.ByteStream)
    content = json.loads(b"".join(stream))
    if path.endswith("/restore"):
        volume = content["restore"]["volume_id"]
        return Asked(kind="restore", volume=volume, backup=path.split("/")[-2])
    if "checkpoint" in content:
        parameters = content["checkpoint"]["parameters"]
        first, *more = parameters["resources"]
        # The id of the operation is drawn: it must not make two equal nights differ.
        name = parameters["name"].rpartition("_")[0] + "_00000000"
        return Asked(kind="create", volume=first, more=tuple(more), name=name)
    backup = content["backup"]
    return Asked(kind="create", volume=backup["volume_id"], name=backup["name"])
