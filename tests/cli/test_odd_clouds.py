"""Runs on clouds that answer oddly, for a while or always, end as on any other cloud."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.cli.clouds import GlassCloud
from tests.cli.harness import FAST, Harness, told, until

CINDER = FAST + "services: cinder\n"
BOTH = pytest.mark.parametrize("services", [FAST, CINDER], ids=["vbs", "cinder"])


def faults(*lines: str) -> str:
    return "faults:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


def once_each(cloud: GlassCloud, volumes: int) -> None:
    """Every volume has been backed up, once."""
    made = Counter(backup.volume.id for backup in cloud.world.project.order if not backup.seeded)
    assert set(made.values()) == {1}
    assert len(made) == volumes


@BOTH
def test_null_is_the_empty_list_map_and_text_in_every_answer(
    harness: Harness, services: str
) -> None:
    kinds = ("list", "backup", "job", "quota", "volumes", "servers", "create", "delete", "restore")
    lost = "on: create, do: drop_before, first: 2"
    cloud = harness.cloud(services + faults(lost, *(f"on: {kind}, do: 'null'" for kind in kinds)))
    harness.write_plan(retry={"settle": "1s"})
    harness("check", "plan.yaml", "--online")
    harness("run", "plan.yaml")
    once_each(cloud, 10)
    harness("verify")
    harness("prune", "latest", "--even-last", "--delete", "--yes")
    assert not cloud.world.live_backups()


@BOTH
@pytest.mark.parametrize(
    "odd",
    [
        ("page: 3\n", "no_marker"),
        ("page: 3\nlinks: false\n", "no_marker"),
        ("page: 3\n", "no_paging"),
        ("links: false\n", "no_marker"),
    ],
    ids=["links in a circle", "no links", "nothing heeded", "a short list"],
)
def test_a_list_without_working_pages_hides_no_backup(
    harness: Harness, services: str, odd: tuple[str, str]
) -> None:
    """What was lost on its way back is found, or looked for; it is never made anew."""
    scenario, do = odd
    lost = "on: create, do: drop_after, first: 2"
    cloud = harness.cloud(services + scenario + faults(lost, f"on: list, do: {do}"), volumes=8)
    ids = [volume["ID"] for volume in cloud.volumes()]
    for number, volume_id in enumerate(ids[:4]):
        cloud.world.add_backup(volume_id, f"old-{number}", age=30.0)
    harness.write_plan(retry={"settle": "1s"})
    if do == "no_paging":
        run = harness.start("run", "plan.yaml", "--no-preflight")
        until(lambda: cloud.calls("list") > 12)
        run.terminate()
        harness.finish(run)
    else:
        harness("run", "plan.yaml")
    made = Counter(b.volume.id for b in cloud.world.project.order if not b.seeded)
    assert set(made.values()) == {1}


SAYINGS = {
    "cinder": "status: 413, message: This request was rate-limited., retry_after: 1",
    "body": "status: 413, message: Over limit, retry_after: 1, retry_after_key: retryAfter",
    "zero": "status: 413, message: Over limit, retry_after: 0",
    "sap": "status: 498, message: Too Many Requests, retry_after: 1",
    "blocked": "status: 497, message: You have been blacklisted.",
    "busy": "status: 503, message: Rate limit exceeded",
    "forbidden": "status: 403, message: Request rate exceeded",
    "gateway": "status: 429, code: APIG.0308",
}


@pytest.mark.parametrize("saying", SAYINGS)
def test_throttling_slows_down_in_every_status_and_wording_and_costs_nothing(
    harness: Harness, saying: str
) -> None:
    services = CINDER if saying in ("cinder", "sap", "zero", "busy") else FAST
    said = f"do: status, first: 2, {SAYINGS[saying]}"
    kinds = ("create", "list", "delete", "backup")
    cloud = harness.cloud(services + faults(*(f"on: {kind}, {said}" for kind in kinds)), volumes=4)
    harness.write_plan(retry={"attempts": 1})
    harness("run", "plan.yaml", "--no-preflight")
    once_each(cloud, 4)
    harness("prune", "latest", "--even-last", "--delete", "--yes")
    assert harness.json("status")["run"]["counts"]["succeeded"] == 4


@pytest.mark.parametrize("saying", ["body", "sap", "gateway", "forbidden"])
def test_a_throttled_sign_in_is_repeated(harness: Harness, saying: str) -> None:
    cloud = harness.cloud(
        FAST + faults(f"on: token, do: status, first: 2, {SAYINGS[saying]}"), volumes=2
    )
    harness("run", "plan.yaml", "--no-preflight")
    once_each(cloud, 2)


@pytest.mark.parametrize(
    ("services", "kind", "status"),
    [
        (FAST, "list", 404),
        (CINDER, "list", 200),
        (CINDER, "create", 404),
        (FAST, "create", 403),
        (FAST, "job", 404),
    ],
    ids=["list 404", "cinder list 200", "cinder create 404", "create 403", "job 404"],
)
def test_a_run_waits_for_a_gateway_that_reloads(
    harness: Harness, services: str, kind: str, status: int
) -> None:
    page = f"do: html, status: {status}, first: 3"
    cloud = harness.cloud(services, volumes=6)
    harness.write_plan(limits={"rate": "2/s"}, retry={"attempts": 3})
    run = harness.start("run", "plan.yaml")
    until(lambda: len(cloud.accepted()) >= 2)
    cloud.behave(services + faults(f"on: {kind}, {page}"))
    harness.finish(run, 0)
    once_each(cloud, 6)


@BOTH
def test_a_prune_waits_for_a_gateway_that_reloads(harness: Harness, services: str) -> None:
    cloud = harness.cloud(services, volumes=2)
    harness("run", "plan.yaml")
    cloud.behave(services + faults("on: delete, do: html, status: 404, first: 3"))
    harness("prune", "latest", "--even-last", "--delete", "--yes")
    assert not cloud.world.live_backups()


@BOTH
def test_pages_that_are_too_long_for_the_cloud_are_requested_with_fewer_entries(
    harness: Harness, services: str
) -> None:
    slow = "do: html, status: 504, longer: 200"
    cloud = harness.cloud(services + faults(f"on: list, {slow}", f"on: volumes, {slow}"), volumes=4)
    harness("check", "plan.yaml", "--online")
    harness("run", "plan.yaml")
    once_each(cloud, 4)
    harness("verify")


@BOTH
def test_a_fresh_token_that_a_node_does_not_know_yet_does_not_stop_the_run(
    harness: Harness, services: str
) -> None:
    unknown = "do: status, status: 401, first: 2"
    kinds = ("create", "list")
    cloud = harness.cloud(
        services + faults(*(f"on: {kind}, {unknown}" for kind in kinds)), volumes=4
    )
    harness.write_plan(retry={"attempts": 1})
    harness("run", "plan.yaml", "--no-preflight")
    once_each(cloud, 4)


OFF = {
    "gone": "do: status, status: 410, code: VBS.0001, message: use CBR",
    "page": "do: html, status: 200, after: false",
    "console": "do: html, status: 302",
    "ended": "do: status, status: 403, code: VBS.0002, message: end of life",
}


@pytest.mark.parametrize("off", OFF)
def test_a_disabled_service_is_reported_before_anything_is_sent(harness: Harness, off: str) -> None:
    cloud = harness.cloud(FAST + faults(*(f"on: {k}, {OFF[off]}" for k in ("quota", "create"))))
    for options in ((), ("--no-preflight",)):
        line = harness.refused("run", "plan.yaml", *options)
        assert "seems to be disabled" in line or "a redirect" in line
    assert "check its endpoint" in harness("check", "plan.yaml", "--online", code=2).stdout
    assert harness.runs() == []
    assert cloud.ledger("create") == []


@BOTH
def test_a_410_stops_the_run_and_fails_no_volume(harness: Harness, services: str) -> None:
    cloud = harness.cloud(services + faults(f"on: create, {OFF['gone']}"))
    harness.write_plan(limits={"rate": "5/s"})
    done = harness("run", "plan.yaml", code=3)
    assert "VBS.0001: the service has been switched off" in told(done, "run")[-1]
    assert harness.json("status")["run"]["counts"]["failed"] == 0
    assert len(cloud.ledger("create")) <= 4
