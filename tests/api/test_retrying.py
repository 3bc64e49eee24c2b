"""Reads are repeated up to a limit, and lists are read to their end, if they have one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from vbsbatch.api import sessions
from vbsbatch.api.cloud_lists import listed, read_servers, read_volumes, survey, volumes_by_id
from vbsbatch.api.preflight import take_snapshot
from vbsbatch.api.retrying import CHANGES, Tries, ask_again
from vbsbatch.api.runs import check_settings
from vbsbatch.cloud import pagination
from vbsbatch.cloud.services.vbs import VbsService
from vbsbatch.errors import (
    CloudError,
    CloudRefused,
    CloudUnavailable,
    ListChanged,
    ListIncomplete,
    SignInError,
    UsageError,
)
from vbsbatch.model import (
    Backup,
    BackupPage,
    CloudServer,
    CloudVolume,
    Quota,
    ServerPage,
    VolumePage,
)

pytestmark = pytest.mark.anyio

QUICK = Tries(pauses=(0.0, 0.0), longest=0.0, patience=0.2)
TIRED = CloudUnavailable("503: later", status=503)
NO = CloudRefused("403: no", status=403)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def nobody_counts(_: int) -> None:
    """The progress of no bar."""


class Cloud:
    """Answers as the test says, page by page; a number of a page stands for its address."""

    facts = VbsService.facts
    endpoint_kind = VbsService.endpoint_kind
    clock_ahead = 0.0
    knows_servers = True
    more: str | None = None
    """Where the list of backups goes on, always."""

    def __init__(
        self,
        volumes: Callable[[int], VolumePage] | CloudError,
        servers: CloudError | None = None,
        quota: CloudError | None = None,
    ) -> None:
        self._volumes, self._servers, self._quota = volumes, servers, quota
        self.asked: list[str | None] = []

    @property
    def inventory(self) -> Cloud:
        return self

    async def volumes(self, page: str | None = None) -> VolumePage:
        self.asked.append(page)
        if isinstance(self._volumes, CloudError):
            raise self._volumes
        return self._volumes(int(page or 0))

    async def servers(self, page: str | None = None) -> ServerPage:
        if self._servers is not None:
            raise self._servers
        return ServerPage(servers=(CloudServer(id="s", name="web01"),))

    async def quota(self) -> tuple[Quota, ...]:
        if self._quota is not None:
            raise self._quota
        return (Quota(kind="backups", used=0),)

    async def backups(self, page: str | None = None) -> BackupPage:
        return BackupPage(backups=(), next=self.more)


def a_page(number: int, *, last: int = 10**9) -> VolumePage:
    volume = CloudVolume(id=f"{number:08x}-9dad-11d1-80b4-00c04fd430c8")
    return VolumePage(volumes=(volume,), next=None if number == last else str(number + 1))


async def read(cloud: Cloud, **how: Any) -> int:
    return len(await read_volumes(cast(Any, cloud), nobody_counts, tries=QUICK, **how))


async def test_a_read_is_repeated_up_to_its_limit() -> None:
    answers: list[Any] = [TIRED, TIRED, 7]

    async def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, CloudError):
            raise answer
        return int(answer)

    assert await ask_again(ask, QUICK) == 7
    answers += [TIRED, TIRED, TIRED, 7]
    with pytest.raises(CloudUnavailable, match="503: later"):
        await ask_again(ask, QUICK)
    answers[:] = [NO, 7]
    with pytest.raises(CloudRefused):
        await ask_again(ask, QUICK)


async def test_a_missing_answer_ends_at_its_timeout() -> None:
    with pytest.raises(CloudUnavailable, match=r"no answer within 0\.01 s"):
        await ask_again(anyio.sleep_forever, Tries(pauses=(0.0,), patience=0.01))


async def test_a_list_is_read_to_its_end_or_until_the_wanted_entries_are_found() -> None:
    cloud = Cloud(lambda number: a_page(number, last=5))
    assert await read(cloud) == 6
    assert cloud.asked == [None, "1", "2", "3", "4", "5"]
    some = Cloud(lambda number: a_page(number, last=5))
    assert await read(some, wanted={a_page(2).volumes[0].id}) == 3


async def test_a_list_that_stops_early_is_an_error_and_is_not_requested_again() -> None:
    stuck = Cloud(ListIncomplete("the list of volumes is incomplete: it stops after 4 entries"))
    with pytest.raises(ListIncomplete):
        await read(stuck)
    assert stuck.asked == [None]


async def test_a_list_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "PAGES", 20)
    with pytest.raises(CloudUnavailable, match="has more than 20 pages"):
        await read(Cloud(a_page))


async def test_missing_server_names_are_no_error() -> None:
    volumes = lambda number: a_page(number, last=0)  # noqa: E731
    fleet, why = await survey(cast(Any, Cloud(volumes)), nobody_counts)
    assert (dict(fleet.names), why) == ({"s": "web01"}, None)
    fleet, why = await survey(cast(Any, Cloud(volumes, servers=NO)), nobody_counts)
    assert (dict(fleet.names), why) == ({}, "compute says: 403: no")


async def test_a_look_tells_what_it_could_not_see_and_whether_asking_again_would_help() -> None:
    sight = await take_snapshot(cast(Any, Cloud(NO, quota=TIRED)), (), nobody_counts)
    assert sight.fleet is None
    assert sight.quotas is None
    assert sight.backups == []
    assert [(gap.what, gap.refused) for gap in sight.gaps] == [("quota", False), ("volumes", True)]
    away = CloudUnavailable("501: not here", status=501)
    sight = await take_snapshot(cast(Any, Cloud(NO, quota=away)), (), nobody_counts)
    assert [gap.refused for gap in sight.gaps] == [True, True]


GONE = ListChanged("the list changed while it was read")
"""The entry that marked where the next page begins is gone."""


class Shrinking(Cloud):
    """Its lists change `times` times between their first page and their second."""

    def __init__(self, times: int) -> None:
        super().__init__(NO)
        self.times = times

    def _turn(self, page: str | None) -> str | None:
        self.asked.append(page)
        if page is not None and self.times > 0:
            self.times -= 1
            raise GONE
        return "1" if page is None else None

    async def volumes(self, page: str | None = None) -> VolumePage:
        return VolumePage(volumes=a_page(len(self.asked)).volumes, next=self._turn(page))

    async def servers(self, page: str | None = None) -> ServerPage:
        return ServerPage(servers=(CloudServer(id=f"{page}", name="web"),), next=self._turn(page))

    async def backups(self, page: str | None = None) -> BackupPage:
        return BackupPage(backups=(Backup(id=f"b{page}"),), next=self._turn(page))


async def test_an_endless_list_of_backups_ends_at_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pagination, "PAGES", 20)
    with pytest.raises(CloudUnavailable, match="has more than 20 pages"):
        endless = Cloud(a_page)
        endless.more = "again"
        await listed(cast(Any, endless), {"b1"})


READERS: list[Callable[[Any], Any]] = [
    lambda cloud: read_volumes(cloud, nobody_counts),
    read_servers,
    lambda cloud: listed(cloud, {"bNone", "b1", "b2"}),
    lambda cloud: volumes_by_id(cloud, {"v"}),
]


@pytest.mark.parametrize("read", READERS)
async def test_a_list_that_changed_while_it_was_read_is_read_again(
    read: Callable[[Any], Any],
) -> None:
    cloud = Shrinking(times=2)
    assert len(await read(cloud)) == 2
    assert cloud.asked == [None, "1"] * 3
    restless = Shrinking(times=99)
    with pytest.raises(ListChanged):
        await read(restless)
    assert restless.asked == [None, "1"] * (CHANGES + 1)


async def test_a_look_at_lists_that_change_begins_again() -> None:
    sight = await take_snapshot(cast(Any, Shrinking(times=2)), {"x"}, nobody_counts)
    assert (sight.gaps, sight.whole) == ((), True)
    restless = await take_snapshot(cast(Any, Shrinking(times=99)), {"x"}, nobody_counts)
    assert [(gap.what, gap.refused) for gap in restless.gaps] == [
        ("backups", False),
        ("volumes", False),
    ]


async def test_preflight_of_an_unreachable_service_is_refused() -> None:
    silent = CloudUnavailable("connection refused")
    with pytest.raises(SignInError, match="cannot reach the backup service"):
        await take_snapshot(cast(Any, Cloud(NO, quota=silent)), (), nobody_counts)


class Undecided:
    """A service that does not say what it can do."""

    asked = 0

    async def objections(self, wanted: object) -> list[str]:
        self.asked += 1
        raise CloudUnavailable("cannot find out: 500", status=500)


async def test_an_unknown_ability_of_a_service_is_asked_again_then_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions, "REACHING", QUICK)
    service = Undecided()
    plan = cast(Any, SimpleNamespace(backup_settings=tuple))
    with pytest.raises(UsageError, match="cannot find out: 500"):
        await check_settings(plan, cast(Any, service), reached=True)
    assert service.asked == 3
