"""Which cloud is chosen, compared with openstacksdk on the same files and variables.

`openstack` hands its options, which the environment fills in, to openstacksdk; so does this test.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openstack.config import loader
from requests.utils import get_environ_proxies, select_proxy, should_bypass_proxies

from vbsbatch.cloud.cloud_config import load_cloud
from vbsbatch.cloud.trust import proxy_for
from vbsbatch.errors import SignInError

REGIONS = ("R1", "R2", "eu-de")
INTERFACES = ("public", "internal", "admin", "internalURL")
AUTH: dict[str, st.SearchStrategy[Any]] = {
    "project_name": st.sampled_from(["prod", "test"]),
    "project_id": st.sampled_from(["0a1b", "2c3d"]),
    "project_domain_name": st.sampled_from(["Default", "Other"]),
    "project_domain_id": st.sampled_from(["default", "other"]),
    "user_domain_name": st.sampled_from(["Default", "People"]),
    "username": st.sampled_from(["op", "night"]),
    "password": st.sampled_from(["pw-of-the-file", "pw-2"]),
    "tenant_name": st.sampled_from(["old"]),
}
ENTRY: dict[str, st.SearchStrategy[Any]] = {
    "region_name": st.sampled_from(REGIONS),
    "regions": st.lists(
        st.sampled_from([*REGIONS, {"name": "R3", "values": {"interface": "admin"}}]), min_size=1
    ),
    "interface": st.sampled_from(INTERFACES),
    "endpoint_type": st.sampled_from(INTERFACES),
    "block_storage_region_name": st.sampled_from(REGIONS),
    "volume_interface": st.sampled_from(INTERFACES),
    "auth_type": st.sampled_from(["password", "v3password"]),
    "identity_api_version": st.sampled_from([3, "3"]),
    "verify": st.booleans(),
    "insecure": st.booleans(),
    "project_name": st.sampled_from(["beside"]),
}
ENVIRONMENT: dict[str, st.SearchStrategy[str]] = {
    "OS_REGION_NAME": st.sampled_from([*REGIONS, "R3", ""]),
    "OS_INTERFACE": st.sampled_from(["public", "internal", "admin"]),
    "OS_AUTH_TYPE": st.sampled_from(["password", "v3password"]),
    "OS_AUTH_URL": st.just("http://127.0.0.1:2/v3"),
    "OS_DEFAULT_DOMAIN": st.just("house"),
    "OS_TENANT_NAME": st.just("tenant"),
    "OS_CACERT": st.just("/ca.pem"),
    **{f"OS_{name.upper()}": values for name, values in AUTH.items() if "tenant" not in name},
}


def some(known: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict(known))


def facts(region: Any) -> dict[str, Any]:
    kinds = ("identity", "block-storage", "volumev3", "compute")
    auth = {key: value for key, value in region.config["auth"].items() if value is not None}
    return {
        "regions": [region.get_region_name(kind) for kind in (None, *kinds)],
        "interfaces": [region.get_interface(kind) for kind in (None, *kinds)],
        "auth": auth,
        "auth_type": region.config["auth_type"],
        "tls": region.get_requests_verify_args(),
    }


def official(name: str) -> dict[str, Any] | None:
    """What the official client takes; None where it refuses the entry."""
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import ConfigException
    from openstackclient.shell import OpenStackShell  # warns of itself as it is imported
    from osc_lib.cli.client_config import OSC_Config

    options = OpenStackShell().build_option_parser("", "").parse_args([])
    config = OSC_Config(override_defaults={"interface": "public", "auth_type": "password"})
    try:
        return facts(config.get_one(cloud=name, argparse=options))
    except (ConfigException, ClientException):
        return None


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose clouds.yaml is the only one."""
    monkeypatch.setattr(loader, "CONFIG_FILES", [str(tmp_path / "clouds.yaml")])
    monkeypatch.setattr(loader, "SECURE_FILES", [])
    return tmp_path


def without(prefix: str) -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(prefix)}


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(auth=some(AUTH), entry=some(ENTRY), environment=some(ENVIRONMENT))
@example(auth={}, entry={"regions": ["R2", "R1"]}, environment={"OS_REGION_NAME": "R1"})
@example(auth={}, entry={"region_name": "R2"}, environment={"OS_REGION_NAME": "R1"})
@example(auth={"project_id": "0a1b"}, entry={}, environment={"OS_PROJECT_NAME": "test"})
def test_an_entry_and_the_environment_mean_the_same_as_for_the_official_client(
    nowhere: Path, auth: dict[str, Any], entry: dict[str, Any], environment: dict[str, str]
) -> None:
    needed = {"auth_url": "http://127.0.0.1:1/v3", "username": "op", "password": "pw-of-the-file"}
    clouds = {"lab": {**entry, "auth": needed | auth}, "other": {}}
    (nowhere / "clouds.yaml").write_text(yaml.safe_dump({"clouds": clouds}))
    with mock.patch.dict(os.environ, without("OS_") | environment, clear=True):
        try:
            ours: object = facts(load_cloud("lab")[0])
        except SignInError:
            ours = None
        assert ours == official("lab")


HOSTS = ["127.0.0.1", "10.1.2.3", "vbs.inside.test", "inside.test", "VBS.test", "[::1]", "[fd::5]"]
PLAIN = [
    *("10.0.0.0/8", "127.0.0.0/8", "10.1.2.3", "10.1.2.0/33", "x/8", "/", ":", "localhost"),
    *(".inside.test", "inside.test", "inside.test:8776", "test", "side.test", "vbs.test"),
]
EXTRA = [
    *("*", "10.1.2.3:8776", "::1", "[::1]", "[::1]:8776", "fd00::/8", "*.inside.test"),
    *(".inside.test:443", "vbs.test:80"),  # the port that a URL does not name
]
"""What we except beyond the sign-in library: there the proxy would have been taken."""


@settings(max_examples=400, deadline=None)
@given(
    scheme=st.sampled_from(["http", "https"]),
    host=st.sampled_from(HOSTS),
    port=st.sampled_from(["", ":8776", ":443", ":80"]),
    excepted=st.lists(st.sampled_from([*PLAIN, *EXTRA, " "]), max_size=3),
    name=st.sampled_from(["no_proxy", "NO_PROXY"]),
    proxies=some(
        {
            key: st.sampled_from(["http://proxy.test:3128", ""])
            for key in ("http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY")
        }
    ),
)
def test_a_proxy_is_taken_where_the_sign_in_library_takes_it(
    scheme: str, host: str, port: str, excepted: list[str], name: str, proxies: dict[str, str]
) -> None:
    url = f"{scheme}://{host}{port}/v3"
    kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    with mock.patch.dict(os.environ, kept | proxies | {name: ",".join(excepted)}, clear=True):
        theirs = select_proxy(url, get_environ_proxies(url)) or None
        if should_bypass_proxies(url, None) or not set(EXTRA).intersection(excepted):
            assert proxy_for(url) == theirs
        else:
            assert proxy_for(url) in (theirs, None)


@pytest.mark.parametrize(
    ("excepted", "url", "direct"),
    [
        ("10.0.0.0/8", "https://10.9.8.7:5000/v3", True),
        ("10.0.0.0/8", "https://11.9.8.7:5000/v3", False),
        ("10.9.8.7:5000", "https://10.9.8.7:5000/v3", True),
        ("10.9.8.7:5001", "https://10.9.8.7:5000/v3", False),
        ("cloud.test:443", "https://vbs.cloud.test/v3", True),
        ("cloud.test:444", "https://vbs.cloud.test/v3", False),
        (".cloud.test", "https://cloud.test/v3", True),
        ("*.cloud.test", "https://vbs.cloud.test/v3", True),
        ("loud.test", "https://vbs.cloud.test/v3", False),
        ("other.test,*", "https://vbs.cloud.test/v3", True),
        ("fd00::/8", "https://[fd12::1]:5000/v3", True),
        ("[fd12::1]:5000", "https://[fd12::1]:5000/v3", True),
        ("[fd12::1]", "https://[fd12::2]:5000/v3", False),
        ("fd12::1 10.0.0.1", "https://[fd12::1]/v3", True),
    ],
)
def test_exceptions_may_be_networks_ports_and_suffixes(
    monkeypatch: pytest.MonkeyPatch, excepted: str, url: str, direct: bool
) -> None:
    for name in [key for key in os.environ if "proxy" in key.lower()]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert proxy_for(url) == (None if direct else "http://proxy.test:3128")
