"""Compute of the simulated cloud: which servers there are, page by page, and one by one."""

from __future__ import annotations

from tests.simulator.harness import DeskMaker
from tests.simulator.test_native_backups import follow
from vbsbatch.simulator import Scenario, Services


def test_the_servers_are_those_that_volumes_are_attached_to(open_desk: DeskMaker) -> None:
    for services in (Services.VBS, Services.CINDER):
        desk = open_desk(Scenario(services=services))
        attached = {
            volume.server_id: volume.server_name
            for volume in desk.cloud.project.volumes.values()
            if volume.server_id
        }
        listed = desk.get("/compute/v2.1/{p}/servers")["servers"]
        assert {each["id"]: each["name"] for each in listed} == attached
        assert attached
        pages = follow(desk, "/compute/v2.1/{p}/servers?limit=1", "servers")
        assert [each for page in pages for each in page] == sorted(map(str, attached))


def test_one_server_tells_its_volumes_and_an_unknown_one_is_404(open_desk: DeskMaker) -> None:
    desk = open_desk()
    one = next(v for v in desk.cloud.project.volumes.values() if v.server_id)
    server = desk.get(f"/compute/v2.1/{{p}}/servers/{one.server_id}")["server"]
    disks = {each["id"] for each in server["os-extended-volumes:volumes_attached"]}
    assert one.id in disks
    detail = desk.get("/compute/v2.1/{p}/servers/detail?name=" + str(one.server_name))["servers"]
    assert detail == [server]
    assert desk.send("GET", "/compute/v2.1/{p}/servers/nobody").status == 404


def test_compute_tells_its_version_and_serves_nothing_else(open_desk: DeskMaker) -> None:
    desk = open_desk()
    assert [each["id"] for each in desk.get("/compute/")["versions"]] == ["v2.1"]
    assert desk.get("/compute/v2.1/")["version"]["status"] == "CURRENT"
    assert desk.send("GET", "/compute/v3/").status == 404
    assert desk.send("GET", "/volume/v3/{p}/servers").status == 404
    assert desk.send("GET", "/compute/v2.1/{p}/volumes").status == 404


def test_volumes_tell_their_metadata(open_desk: DeskMaker) -> None:
    desk = open_desk()
    for volume in desk.get("/volume/v3/{p}/volumes/detail")["volumes"]:
        assert volume["name"].startswith(volume["metadata"]["trade"])
