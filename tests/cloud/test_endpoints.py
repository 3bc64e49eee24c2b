"""The root of an endpoint is found in every form that catalogs and users give."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.cloud.catalog import find_endpoints
from vbsbatch.cloud.endpoints import root_of, shown
from vbsbatch.cloud.server_clock import ServerClock
from vbsbatch.errors import SignInError

from .fixtures import NOW, PROJECT


@pytest.mark.parametrize(
    "tail",
    ["", "/", "/v2", "/v2/", f"/v2/{PROJECT}", f"/v2/{PROJECT}/", f"/{PROJECT}", "/v3.27",
     "/v2/$(project_id)s", "/v2/%(tenant_id)s", "//v1//", f"/v2/{PROJECT}?x=1#y"],
)  # fmt: skip
@pytest.mark.parametrize(
    "root", ["https://vbs.test", "http://127.0.0.1:8776/volume", "https://[::1]:1/a/b"]
)
def test_version_and_project_are_cut_off_an_endpoint(root: str, tail: str) -> None:
    assert root_of(root + tail, PROJECT) == root


@pytest.mark.parametrize(
    "url",
    ["", "vbs.test", "ftp://vbs.test", "https://", "//x", "https://[bad", "file:///etc/passwd"],
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(SignInError, match="not an http"):
        root_of(url, PROJECT)


@given(st.text())
def test_any_endpoint_is_either_cut_or_refused(url: str) -> None:
    try:
        root = root_of(url, PROJECT)
    except SignInError:
        return
    assert root_of(root + f"/v2/{PROJECT}", PROJECT) == root


def test_a_password_in_a_url_is_removed() -> None:
    assert root_of("https://me:pa55@vbs.test/v2", PROJECT) == "https://vbs.test"
    assert shown("https://me:pa55@vbs.test/v2?token=x\x1b") == "https://vbs.test/v2"


def test_one_service_hints_at_the_other() -> None:
    only_vbs = find_endpoints({"volume_backup": [("r", "https://v.test/v2")]}, {}, PROJECT)
    assert only_vbs.endpoints.block_storage == "https://v.test"
    assert only_vbs.supposed == {"block_storage", "cbr"}
    only_store = find_endpoints({"evs": [("r", "https://e.test/v2")]}, {}, PROJECT)
    assert only_store.endpoints.roots["vbs"] == "https://e.test"
    assert only_store.supposed == {"vbs", "cbr"}


def test_the_newest_type_of_block_storage_is_taken() -> None:
    catalog = {
        kind: [("r", f"https://{kind}.test")] for kind in ("evs", "volumev2", "volumev3", "vbs")
    }
    found = find_endpoints(catalog, {}, PROJECT)
    assert found.endpoints.block_storage == "https://volumev3.test"


def test_block_storage_is_found_under_every_name_that_openstack_has_for_it() -> None:
    from os_service_types import ServiceTypes

    for kind in ("block-storage", *ServiceTypes().get_aliases("block-storage")):
        found = find_endpoints({kind: [("r", "https://store.test/v3")]}, {}, PROJECT)
        assert found.endpoints.block_storage == "https://store.test"


def date(second: float) -> str:
    return formatdate(NOW + second, usegmt=True)


def test_the_servers_clock_is_the_median_of_the_samples() -> None:
    clock = ServerClock()
    assert clock.ahead == 0.0
    clock.see(None, NOW, NOW)
    clock.see("rubbish", NOW, NOW)
    assert clock.ahead == 0.0
    for i, ahead in enumerate((0.0, 2.0, 1.0)):
        at = NOW + 2.0 * i
        clock.see(date(2.0 * i + ahead), at, at + 1.0)
    assert clock.ahead == 1.0
    clock.see(date(3600.0), NOW + 4.5, NOW + 5)  # too soon after the last
    assert clock.ahead == 1.0


def test_a_server_clock_that_is_set_is_followed_at_once() -> None:
    clock = ServerClock()
    for second in (0.0, 2.0, 4.0, 6.0):
        clock.see(date(second), NOW + second, NOW + second + 1.0)
    clock.see(date(-3600.0 + 8.0), NOW + 8.0, NOW + 9.0)
    assert clock.ahead == -3600.0


def test_an_answer_with_a_long_round_trip_counts_little() -> None:
    """The machine slept meanwhile: nobody knows at which moment the server looked at its clock."""
    clock = ServerClock()
    clock.see(date(0.0), NOW, NOW + 7200.0)
    clock.see(date(7210.0), NOW + 7210.0, NOW + 7210.2)
    assert clock.ahead == pytest.approx(0.4)
