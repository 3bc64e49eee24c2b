"""Native backups and volumes: pages, filters, deletion, discovery, and Cinder's own create."""

from __future__ import annotations

import json
from itertools import chain
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.harness import Desk, DeskMaker
from vbsbatch.simulator import (
    BackupScript,
    Scenario,
    Services,
    SimQuota,
    SimulatedCloud,
    sample_volumes,
)
from vbsbatch.simulator.virtual import VirtualClock

CINDER = Scenario(services=Services.CINDER, backups=BackupScript(duration=(60, 60)))


def filled(desk: Desk, number: int) -> list[str]:
    """Ids of seeded backups, newest first."""
    volumes = (desk.volumes * (1 + number // len(desk.volumes)))[:number]
    made = [desk.cloud.add_backup(volume, f"old-{n}") for n, volume in enumerate(volumes)]
    return made[::-1]


def follow(desk: Desk, target: str, collection: str = "backups") -> list[list[str]]:
    """The ids of every page, by the next links."""
    pages: list[list[str]] = []
    while target:
        content = desk.get(target)
        pages.append([entry["id"] for entry in content[collection]])
        links = content.get(f"{collection}_links", [])
        target = next((link["href"] for link in links if link["rel"] == "next"), "")
        if target:
            parts = urlsplit(target)
            target = f"{parts.path}?{parts.query}"
    return pages


def test_pages_follow_one_another_by_the_next_link(open_desk: DeskMaker) -> None:
    desk = open_desk()
    made = filled(desk, 25)
    pages = follow(desk, "/v3/{p}/backups/detail?limit=10")
    assert [len(page) for page in pages] == [10, 10, 5]
    assert list(chain(*pages)) == made


def test_a_page_holds_at_most_1000(open_desk: DeskMaker) -> None:
    desk = open_desk(volumes=80)
    made = filled(desk, 1100)
    pages = follow(desk, "/v2/{p}/backups/detail?limit=5000")
    assert [len(page) for page in pages] == [1000, 100]
    assert list(chain(*pages)) == made


@settings(max_examples=40)
@given(number=st.integers(0, 40), limit=st.integers(1, 50), offset=st.integers(0, 50))
def test_limit_offset_and_marker_lose_and_repeat_nothing(
    number: int, limit: int, offset: int
) -> None:
    clock = VirtualClock()
    cloud = SimulatedCloud(Scenario(), clock, volumes=sample_volumes(10))
    desk = Desk(cloud, clock, volumes=list(cloud.project.volumes))
    desk.sign_in()
    made = filled(desk, number)
    pages = follow(desk, f"/v3/{{p}}/backups?limit={limit}&offset={offset}")
    assert list(chain(*pages)) == made[offset:]


def test_filters_are_anded_and_unknown_ones_ignored(open_desk: DeskMaker) -> None:
    desk = open_desk()
    filled(desk, 10)
    first = desk.volumes[0]
    assert [b["name"] for b in desk.listed(f"?volume_id={first}")] == ["old-0"]
    assert [b["name"] for b in desk.listed("?name=OLD-3")] == ["old-3"]
    assert desk.listed(f"?volume_id={first}&name=old-3") == []
    assert desk.listed("?status=error") == []
    assert len(desk.listed("?status=available&colour=red")) == 10
    assert len(desk.listed("?name~=old")) == 10


def test_a_fuzzy_name_needs_its_microversion(open_desk: DeskMaker) -> None:
    desk = open_desk()
    filled(desk, 12)
    asked = desk.get("/v3/{p}/backups?name~=ld-1", openstack_api_version="volume 3.45")
    assert [b["name"] for b in asked["backups"]] == ["old-11", "old-10", "old-1"]


@pytest.mark.parametrize("query", ["?limit=ten", "?limit=-1", "?offset=x"])
def test_a_limit_that_is_no_number_is_a_bad_request(open_desk: DeskMaker, query: str) -> None:
    assert "badRequest" in open_desk().get("/v3/{p}/backups" + query)


def test_a_marker_that_is_gone_is_404(open_desk: DeskMaker) -> None:
    desk = open_desk()
    reply = desk.send("GET", f"/v3/{{p}}/backups?marker={desk.volumes[0]}")
    assert (reply.status, "itemNotFound" in json.loads(reply.body)) == (404, True)


def test_a_deleted_backup_is_deleting_and_then_gone(open_desk: DeskMaker) -> None:
    desk = open_desk()
    (made,) = filled(desk, 1)
    assert desk.send("DELETE", f"/v3/{{p}}/backups/{made}").status == 202
    assert desk.get(f"/v3/{{p}}/backups/{made}")["backup"]["status"] == "deleting"
    desk.wait(2.1)
    assert desk.send("GET", f"/v3/{{p}}/backups/{made}").status == 404
    assert desk.send("DELETE", f"/v3/{{p}}/backups/{made}").status == 404
    assert [row["backup"] for row in desk.cloud.ledger.of("delete")] == [made]


def test_a_backup_in_the_making_cannot_be_deleted(open_desk: DeskMaker) -> None:
    desk = open_desk()
    desk.create()
    desk.wait(2)
    (backup,) = desk.listed()
    assert desk.send("DELETE", "/v3/{p}/backups/" + backup["id"]).status == 400


def test_volumes_are_listed_page_by_page_and_filtered(open_desk: DeskMaker) -> None:
    desk = open_desk(volumes=25)
    pages = follow(desk, "/volume/v3/{p}/volumes/detail?limit=10", "volumes")
    assert [len(page) for page in pages] == [10, 10, 5]
    assert sorted(chain(*pages)) == sorted(desk.volumes)
    volume = desk.cloud.project.volumes[desk.volumes[0]]
    found = desk.get(f"/volume/v3/{{p}}/volumes/detail?name={volume.name}&status={volume.status}")
    assert [entry["id"] for entry in found["volumes"]] == [volume.id]
    assert desk.send("GET", "/volume/v3/{p}/volumes/nothing").status == 404


def test_the_versions_are_told_without_a_token(open_desk: DeskMaker) -> None:
    desk = open_desk()
    desk.token = ""
    assert desk.send("GET", "/volume/").status == 300
    assert desk.get("/volume/v3/")["versions"][0]["links"][0]["href"] == "http://sim/volume/v3/"
    assert desk.send("GET", "/volume/v7/").status == 404


def test_cinder_answers_202_with_a_backup_and_has_no_cloud_jobs(open_desk: DeskMaker) -> None:
    desk = open_desk(CINDER)
    reply = desk.native(name=" nightly ")
    assert reply.status == 202
    made = json.loads(reply.body)["backup"]
    assert set(made) == {"id", "name", "links"}
    found = desk.get("/volume/v3/{p}/backups/" + made["id"])["backup"]
    assert (found["name"], found["status"]) == ("nightly", "creating")
    assert desk.create().status == 404


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ({"volume_id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}, 404),
        ({"volume_id": "x"}, 400),
        ({"name": "n" * 256}, 400),
        ({"incremental": True}, 400),
        ({"colour": "red"}, 400),
        ({"metadata": {"a": "b"}}, 400),
        ({"name": "b\N{FLOPPY DISK}"}, 500),
    ],
)
def test_cinder_refuses_what_the_real_one_refuses(
    open_desk: DeskMaker, rest: dict[str, object], status: int
) -> None:
    assert open_desk(CINDER).native(**rest).status == status  # type: ignore[arg-type]


def test_cinder_wants_force_for_a_volume_in_use_and_refuses_a_busy_one(
    open_desk: DeskMaker,
) -> None:
    desk = open_desk(CINDER)
    used = next(v for v in desk.volumes if desk.cloud.project.volumes[v].status == "in-use")
    assert desk.native(used, force=False).status == 400
    assert desk.native(used).status == 202
    busy = json.loads(desk.native(used).body)["badRequest"]["message"]
    assert 'current status is "backing-up"' in busy


def test_cinder_keeps_the_parent_of_an_increment(open_desk: DeskMaker) -> None:
    desk = open_desk(CINDER)
    parent = json.loads(desk.native().body)["backup"]["id"]
    desk.wait(61)
    assert desk.native(name="b2", incremental=True).status == 202
    assert desk.send("DELETE", f"/volume/v3/{{p}}/backups/{parent}").status == 400


def test_cinders_quota_is_413_with_an_empty_invitation(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(services=Services.CINDER, quota=SimQuota(backups=0)))
    reply = desk.native()
    assert (reply.status, reply.headers["retry-after"]) == (413, "0")
    assert "overLimit" in json.loads(reply.body)


def test_a_native_restore_is_202(open_desk: DeskMaker) -> None:
    desk = open_desk(CINDER)
    target = next(v for v in desk.volumes if desk.cloud.project.volumes[v].status == "available")
    backup = desk.cloud.add_backup(target, "old")
    path = f"/volume/v3/{{p}}/backups/{backup}/restore"
    assert desk.send("POST", path, {"restore": {"volume_id": target}}).status == 202
    assert desk.send("POST", path, {"restore": {"volume_id": target}}).status == 400
    assert desk.cloud.ledger.of("restore")[0]["backup"] == backup


def test_a_microversion_that_is_not_offered_is_406_and_the_versions_tell_the_newest(
    open_desk: DeskMaker,
) -> None:
    desk = open_desk(Scenario(services=Services.CINDER, microversion=42))
    assert desk.get("/volume/v3/")["versions"][0]["version"] == "3.42"
    wanted = {"backup": {"volume_id": desk.volumes[0], "force": True, "metadata": {"a": "b"}}}
    path = "/volume/v3/{p}/backups"
    asked = {"openstack_api_version": "volume 3.43"}
    reply = desk.send("POST", path, wanted, **asked)
    assert reply.status == 406
    assert "Minimum is 3.0 and maximum is 3.42" in json.loads(reply.body)["computeFault"]["message"]
    desk.cloud.change(CINDER)
    assert desk.send("POST", path, wanted, **asked).status == 202
    found = desk.get("/volume/v3/{p}/backups/detail", **asked)["backups"]
    assert [entry["metadata"] for entry in found] == [{"a": "b"}]


def test_tags_that_cinder_would_refuse_as_metadata_are_refused(open_desk: DeskMaker) -> None:
    desk = open_desk(CINDER)
    wanted = {"volume_id": desk.volumes[0], "force": True, "metadata": {"wäve": "1"}}
    asked = {"openstack_api_version": "volume 3.43"}
    assert desk.send("POST", "/volume/v3/{p}/backups", {"backup": wanted}, **asked).status == 400


def test_without_the_busy_check_a_second_create_makes_a_second_backup(open_desk: DeskMaker) -> None:
    desk = open_desk(Scenario(services=Services.CINDER, busy_after=2.0))
    assert [desk.native().status for _ in range(2)] == [202, 202]
    desk.wait(2.0)
    assert desk.native().status == 400
    assert desk.cloud.summary()["duplicates"] == 1


def test_a_backup_of_cinder_that_fails_says_why_in_words_and_stays(open_desk: DeskMaker) -> None:
    script = BackupScript(fail_early=1.0, fail_code="Service not found for creating backup.")
    desk = open_desk(Scenario(services=Services.CINDER, backups=script))
    desk.native()
    desk.wait(10)
    (found,) = desk.get("/volume/v3/{p}/backups/detail")["backups"]
    assert (found["status"], found["fail_reason"]) == ("error", script.fail_code)


def test_a_cinder_of_today_has_no_v2(open_desk: DeskMaker) -> None:
    desk = open_desk(CINDER)
    assert [version["id"] for version in desk.get("/volume/")["versions"]] == ["v3.0"]
    for path in ("/volume/v2/", "/volume/v2/{p}/backups/detail", "/volume/v2/{p}/volumes"):
        assert desk.send("GET", path).status == 404
    assert desk.send("GET", "/volume/v3/{p}/backups/detail").status == 200
