"""Every fault strikes as it says, seen through an HTTP client in virtual time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import anyio
import httpx
import pytest

from vbsbatch.simulator import (
    BackupScript,
    Do,
    Fault,
    GatewayLimit,
    Kind,
    Scenario,
    SimulatedCloud,
    sample_volumes,
    virtual,
)
from vbsbatch.simulator.transport import SimulatedTransport
from vbsbatch.simulator.virtual import VirtualClock

Visit = Callable[[httpx.AsyncClient, SimulatedCloud, VirtualClock], Awaitable[None]]


def visit(scenario: Scenario, story: Visit, seed: int = 1) -> SimulatedCloud:
    """Tell a story to a signed-in client in virtual time."""
    clock = VirtualClock()
    cloud = SimulatedCloud(scenario, clock, seed, volumes=sample_volumes(20))

    async def main() -> None:
        transport = SimulatedTransport(cloud)
        timeout = httpx.Timeout(60.0, connect=10.0)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://sim", timeout=timeout
        ) as client:
            user = {"name": "operator", "password": cloud.operator.password}
            auth = {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": "simulator"}},
            }
            answer = await client.post("/identity/v3/auth/tokens", json={"auth": auth})
            client.headers["X-Auth-Token"] = answer.headers["x-subject-token"]
            await story(client, cloud, clock)

    virtual.run(main, clock=clock)
    return cloud


async def create(
    client: httpx.AsyncClient, cloud: SimulatedCloud, number: int = 0
) -> httpx.Response:
    volume = list(cloud.project.volumes)[number]
    wanted = {"backup": {"volume_id": volume, "name": f"b{number}"}}
    return await client.post(f"/v2/{cloud.project.id}/cloudbackups", json=wanted)


def on_create(do: Do, **rest: object) -> Scenario:
    fault = Fault(on=Kind.CREATE, do=do, **rest)  # type: ignore[arg-type]
    return Scenario(faults=(fault,), backups=BackupScript(duration=(600, 600)))


@pytest.mark.parametrize(
    ("do", "error", "after", "committed"),
    [
        (Do.DROP_BEFORE, httpx.ReadError, 0, False),
        (Do.DROP_AFTER, httpx.ReadError, 0, True),
        (Do.HANG, httpx.ReadTimeout, 60, False),
        (Do.HANG_AFTER, httpx.ReadTimeout, 60, True),
        (Do.CUT, httpx.RemoteProtocolError, 0, True),
        (Do.REFUSE, httpx.ConnectError, 0, False),
    ],
)
def test_no_answer_comes_and_the_ledger_knows_what_was_committed(
    do: Do, error: type[httpx.TransportError], after: float, committed: bool
) -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        with pytest.raises(error):
            await create(client, cloud)
        assert clock.passed == pytest.approx(after, abs=0.1)

    cloud = visit(on_create(do), story)
    (row,) = cloud.ledger.of("create")
    assert row["outcome"] == ("accepted" if committed else "unseen")
    assert (row["fate"], row["status"]) != ("answer", 200)
    assert len(cloud.live_backups()) == int(committed)


@pytest.mark.parametrize(
    ("do", "rest", "status", "committed"),
    [
        (Do.STATUS, {}, 503, False),
        (Do.STATUS, {"status": 500, "after": True}, 500, True),
        (Do.HTML, {}, 502, False),
        (Do.HTML, {"after": True, "status": 504}, 504, True),
        (Do.GARBAGE, {}, 200, True),
        (Do.GARBAGE, {"after": False}, 200, False),
        (Do.DELAY, {"delay": (5.0, 9.0)}, 200, True),
        (Do.THROTTLE, {}, 429, False),
        (Do.REDIRECT, {"to": "https://elsewhere.test/"}, 302, False),
        (Do.REDIRECT, {"status": 307, "after": True}, 307, True),
        (Do.DRIP, {"every": 2.0}, 200, True),
    ],
)
def test_an_answer_comes_and_may_lie(
    do: Do, rest: dict[str, object], status: int, committed: bool
) -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        answer = await create(client, cloud)
        assert answer.status_code == status
        assert (5 <= clock.passed <= 9) == (do is Do.DELAY)
        if do in (Do.GARBAGE, Do.HTML):
            with pytest.raises(ValueError):
                answer.json()

    cloud = visit(on_create(do, **rest), story)
    (row,) = cloud.ledger.of("create")
    assert row["outcome"] == ("accepted" if committed else "refused")
    assert len(cloud.live_backups()) == int(committed)


@pytest.mark.parametrize(
    ("rest", "where", "expected"),
    [
        ({"status": 400, "code": "VolumeBackup.0013"}, ("error", "code"), "VolumeBackup.0013"),
        ({"status": 401, "code": "APIG.0301"}, ("error_code",), "APIG.0301"),
        ({"status": 409, "message": "busy"}, ("conflictingRequest", "message"), "busy"),
        ({"status": 599, "message": "odd"}, ("computeFault", "message"), "odd"),
    ],
)
def test_a_status_comes_in_the_envelope_of_its_code(
    rest: dict[str, object], where: tuple[str, ...], expected: str
) -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, _: VirtualClock) -> None:
        answer = await create(client, cloud)
        found = answer.json()
        for key in where:
            found = found[key]
        assert (answer.status_code, found) == (rest["status"], expected)
        assert answer.headers["retry-after"] == "7"

    visit(on_create(Do.STATUS, retry_after="7", **rest), story)


def test_a_throttled_create_names_the_limit_and_may_say_when_to_come_back() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, _: VirtualClock) -> None:
        answer = await create(client, cloud)
        assert answer.json()["error_code"] == "APIG.0308"
        assert "limit:50,time:1 second" in answer.json()["error_msg"]
        assert answer.headers["retry-after"] == "Mon, 21 Sep 2026 14:14:00 GMT"

    visit(on_create(Do.THROTTLE, retry_after="Mon, 21 Sep 2026 14:14:00 GMT"), story)


def test_the_gateway_lets_no_more_than_its_limit_through_any_window() -> None:
    limit = GatewayLimit(count=3, per=60, retry_after=True)
    passed: list[float] = []

    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        for number in range(20):
            answer = await create(client, cloud, number)
            if answer.status_code == 200:
                passed.append(clock.passed)
            else:
                assert "limit:3,time:1 minute" in answer.text
                assert 1 <= int(answer.headers["retry-after"]) <= 61
            await anyio.sleep(7)

    cloud = visit(Scenario(limit=limit), story)
    assert len(passed) >= 6
    assert all(later - earlier >= 60 for earlier, later in zip(passed, passed[3:], strict=False))
    assert cloud.ledger.peak_creates(60) > 3


def test_an_outage_has_a_beginning_and_an_end() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        assert (await create(client, cloud, 0)).status_code == 200
        await anyio.sleep(31)
        for call in (create(client, cloud, 1), client.get("/identity/v3")):
            with pytest.raises(httpx.ConnectError):
                await call
        await anyio.sleep(60)
        assert (await create(client, cloud, 1)).status_code == 200

    visit(Scenario(faults=(Fault(on=None, do=Do.REFUSE, between=(30, 90)),)), story)


def test_the_first_requests_of_each_named_volume_are_struck() -> None:
    named = frozenset(volume.id for volume in sample_volumes(2))
    busy = on_create(Do.STATUS, status=400, code="VolumeBackup.0013", volumes=named, first=2)
    statuses: list[list[int]] = []

    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, _: VirtualClock) -> None:
        for number in range(3):
            answers = [await create(client, cloud, number) for _ in range(3)]
            statuses.append([answer.status_code for answer in answers])

    visit(busy, story)
    assert statuses == [[400, 400, 200], [400, 400, 200], [200, 400, 400]]


def test_the_first_requests_of_all_are_struck_when_no_volume_is_named() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, _: VirtualClock) -> None:
        statuses = [(await create(client, cloud, number)).status_code for number in range(4)]
        assert statuses == [503, 503, 200, 200]

    visit(on_create(Do.STATUS, first=2), story)


def test_a_share_of_requests_is_struck_and_a_seed_replays_them() -> None:
    def struck(seed: int) -> list[int]:
        statuses: list[int] = []

        async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, _: VirtualClock) -> None:
            answers = [await create(client, cloud, number) for number in range(20)]
            statuses.extend(answer.status_code for answer in answers)

        visit(on_create(Do.STATUS, share=0.5), story, seed)
        return statuses

    assert struck(3) == struck(3)
    assert struck(3) != struck(4)
    assert 3 < struck(3).count(503) < 17


def test_a_revocation_hits_the_request_that_met_it_and_all_tokens() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, _: VirtualClock) -> None:
        assert (await create(client, cloud)).status_code == 401
        assert (await client.get(f"/v3/{cloud.project.id}/backups")).status_code == 401

    assert visit(on_create(Do.REVOKE, first=1), story).ledger.of("revoke")[0]["tokens"] == 1


def test_latency_delays_the_answer_and_not_the_commit() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        began = clock.passed
        assert (await create(client, cloud)).status_code == 200
        assert 2 <= clock.passed - began <= 3.01
        (row,) = cloud.ledger.of("create")
        assert row["at"] == pytest.approx(clock.start + began, abs=0.001)

    visit(Scenario(latency=(2, 3)), story)


def test_an_answer_slower_than_the_read_timeout_is_a_timeout_and_still_committed() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await create(client, cloud)
        assert clock.passed == pytest.approx(60, abs=0.1)

    assert len(visit(on_create(Do.DELAY, delay=(90, 90)), story).live_backups()) == 1


def test_a_client_that_is_cancelled_leaves_its_backup_behind() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, _: VirtualClock) -> None:
        with anyio.move_on_after(5) as scope:
            await create(client, cloud)
        assert scope.cancelled_caught

    assert len(visit(on_create(Do.HANG_AFTER), story).live_backups()) == 1


def test_new_faults_count_and_measure_from_when_they_were_set() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        await anyio.sleep(1000)
        cloud.change(on_create(Do.STATUS, between=(0, 10)))
        assert (await create(client, cloud)).status_code == 503
        await anyio.sleep(10)
        assert (await create(client, cloud)).status_code == 200

    visit(Scenario(), story)


def test_the_summary_tells_lost_and_duplicate_volumes() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, _: VirtualClock) -> None:
        for number in (0, 0, 1, 2):
            assert (await create(client, cloud, number)).status_code == 200
            await anyio.sleep(10)
        failing = on_create(Do.FAIL).faults
        cloud.change(Scenario(faults=failing))
        assert (await create(client, cloud, 3)).status_code == 200
        first = cloud.live_backups()[list(cloud.project.volumes)[2]][0]
        await client.delete(f"/v3/{cloud.project.id}/backups/{first}")
        await anyio.sleep(10)

    summary = visit(Scenario(), story).summary()
    assert (summary["duplicates"], summary["lost"], summary["backed_up"]) == (1, 2, 2)
    assert (summary["creates"], summary["accepted"]) == (5, 5)
    assert (summary["running"], summary["peak_running"]) == (0, 1)
    assert summary["calls"] == {"create": 5, "delete": 1, "token": 1}


def test_the_ledger_is_plain_and_complete() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, _: VirtualClock) -> None:
        await create(client, cloud)
        await create(client, cloud)
        await anyio.sleep(601)
        cloud.settle(cloud.clock.now())

    rows = visit(on_create(Do.STATUS, share=0.0), story).ledger.rows
    assert [row["what"] for row in rows] == ["token", "create", "create", "ended"]
    assert [row.get("outcome") for row in rows[1:3]] == ["accepted", "refused"]
    assert rows[2]["code"] == "VolumeBackup.0013"
    assert rows[1]["backup"] == rows[3]["backup"]
    assert json.loads(json.dumps(rows)) == rows


def test_a_redirect_leads_to_the_same_path_elsewhere_or_to_what_it_names() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        told = (await create(client, cloud)).headers["location"]
        assert told == f"https://elsewhere.test/v2/{cloud.project.id}/cloudbackups"
        cloud.change(on_create(Do.REDIRECT, to="http://elsewhere.test/here"))
        assert (await create(client, cloud)).headers["location"] == "http://elsewhere.test/here"

    visit(on_create(Do.REDIRECT, to="https://elsewhere.test/"), story)


def test_what_drips_takes_as_long_as_it_has_bytes_and_is_whole_in_the_end() -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        answer = await create(client, cloud)
        assert answer.json()["job_id"]
        assert clock.passed == pytest.approx(2 * len(answer.content), abs=3)

    visit(on_create(Do.DRIP, every=2.0), story)


@pytest.mark.parametrize("do", [Do.BOMB, Do.ENDLESS])
def test_a_body_without_bounds_is_more_than_anybody_wants(do: Do) -> None:
    async def story(client: httpx.AsyncClient, cloud: SimulatedCloud, clock: VirtualClock) -> None:
        wanted = {"backup": {"volume_id": next(iter(cloud.project.volumes)), "name": "b"}}
        path = f"/v2/{cloud.project.id}/cloudbackups"
        size = 0
        async with client.stream("POST", path, json=wanted) as answer:
            async for part in answer.aiter_bytes():
                size += len(part)
                if size > 100 << 20:
                    return
        raise AssertionError(size)

    visit(on_create(do), story)
