"""A selection means what a person would expect of its words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.inventory.samples import FLEET, uuid, volume
from vbsbatch.errors import UsageError
from vbsbatch.inventory.filters import check_servers, chosen, usable
from vbsbatch.inventory.volumes_by_server import VolumesByServer
from vbsbatch.model import CloudServer
from vbsbatch.plan import VolumeSelection


def names(**words: Any) -> list[str | None]:
    return [each.name for each in chosen(FLEET, VolumeSelection(**words)).values()]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({"name": ("db*",)}, ["db01-data", "db01-log"]),
        ({"name": ("DB*",)}, []),
        ({"name": ("old", "b?sy")}, ["old", "busy"]),
        ({"name": ("*01-*",), "exclude": ("*-log",)}, ["web01-root", "db01-data"]),
        ({"metadata": (("tier", "db"),)}, ["old", "broken"]),
        ({"metadata": (("tier", "db"), ("env", "prod"))}, ["old"]),
        ({"metadata": (("env", "prod"), ("env", "test"))}, ["old", "broken", "busy"]),
        ({"metadata": (("env", ""),)}, []),
        ({"status": ("ERROR",)}, ["broken"]),
        ({"status": ("in-use", "error"), "exclude": ("*01*",)}, ["broken"]),
        ({"az": ("az1", "az9")}, ["web01-root"]),
        ({"type": ("SAS",)}, ["db01-log"]),
        ({"min_size": 100}, ["db01-data", "db01-log"]),
        ({"max_size": 499, "min_size": 41}, ["db01-log"]),
        ({"server": ("db01",)}, ["db01-data", "db01-log"]),
        ({"server": ("s-web", "s-db"), "min_size": 500}, ["db01-data"]),
        ({"server": ("nobody",)}, []),
        ({"exclude": (uuid(1).upper().replace("-", ""), "*b*", "old")}, []),
    ],
)
def test_options_of_one_kind_add_up_and_different_kinds_must_all_fit(
    words: dict[str, Any], found: list[str]
) -> None:
    assert names(**words) == found


def test_an_empty_selection_means_every_volume() -> None:
    assert len(names()) == 6


def test_a_volume_without_a_size_fits_no_size() -> None:
    fleet = VolumesByServer.of([volume(1, size=None)])
    assert chosen(fleet, VolumeSelection(min_size=0)) == {}
    assert chosen(fleet, VolumeSelection(max_size=10**9)) == {}


def test_volumes_in_a_hopeless_state_are_left_out_unless_states_are_named() -> None:
    every = chosen(FLEET, VolumeSelection())
    assert "broken" not in {each.name for each in usable(every, VolumeSelection()).values()}
    assert "busy" in {each.name for each in usable(every, VolumeSelection()).values()}
    assert usable(every, VolumeSelection(status=("error",))) == every


def test_an_unknown_server_is_an_error_that_says_what_could_be_meant() -> None:
    check_servers(FLEET, ["db01", "s-web"], names_known=True)
    with pytest.raises(UsageError, match="did you mean 'db01'"):
        check_servers(FLEET, ["db1"], names_known=True)
    nameless = VolumesByServer.of(FLEET.volumes.values())
    check_servers(nameless, ["s-db"], names_known=False)
    with pytest.raises(UsageError, match="give the server's id"):
        check_servers(nameless, ["db01"], names_known=False)


def test_servers_that_share_a_name_are_all_meant_by_it_and_told_apart_by_their_groups() -> None:
    fleet = VolumesByServer.of(
        [volume(1, server_ids=("aaaaaaaa-1",)), volume(2, server_ids=("bbbbbbbb-2",)), volume(3)],
        [CloudServer(id="aaaaaaaa-1", name="web"), CloudServer(id="bbbbbbbb-2", name="web")],
    )
    assert [*chosen(fleet, VolumeSelection(server=("web",)))] == [uuid(1), uuid(2)]
    assert [*chosen(fleet, VolumeSelection(server=("web (bbbbbbbb)",)))] == [uuid(2)]
    groups = [fleet.group(each) for each in fleet.volumes.values()]
    assert groups == ["web (aaaaaaaa)", "web (bbbbbbbb)", None]


def test_a_volume_of_several_servers_belongs_to_the_first_by_name() -> None:
    both = volume(1, server_ids=("s-web", "s-db"))
    fleet = VolumesByServer.of([both], [CloudServer(id="s-web", name="web01")])
    assert (fleet.group(both), fleet.server_id(both)) == ("s-db", "s-db")
    assert (FLEET.group(both), FLEET.server_id(both)) == ("db01", "s-db")
