"""A cloud with an access key: known values are not looked up, missing ones are reported."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from vbsbatch.cloud import CloudChoice, connect
from vbsbatch.cloud.service import CloudService
from vbsbatch.errors import SignInError
from vbsbatch.model import Service, Timeouts

from .fixtures import PROJECT, a_job, answer

pytestmark = pytest.mark.anyio
SK = "sk-of-the-user"
AUTH_URL = "https://iam.test/v3"
KEY = {"ak": "AK", "sk": SK, "auth_url": AUTH_URL}
VBS = f"https://vbs.test/v2/{PROJECT}"
Entry = dict[str, Any]


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from openstack.config import loader

    for name in list(os.environ):
        if name.startswith(("OS_", "HUAWEICLOUD_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(loader, "CONFIG_FILES", [str(tmp_path / "clouds.yaml")])
    monkeypatch.setattr(loader, "SECURE_FILES", [str(tmp_path / "secure.yaml")])


def service(kind: str, url: str, region: str = "eu-de", interface: str = "public") -> Entry:
    return {"type": kind, "endpoints": [{"interface": interface, "region": region, "url": url}]}


class Cloud:
    """Identity and services behind one transport; clouds.yaml in the test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[httpx.Request] = []
        self.projects: Any = [{"id": PROJECT, "name": "eu-de"}, {"id": "other", "name": "else"}]
        self.catalog: Any = [
            service("vbs", "https://elsewhere.test", "eu-nl"),
            service("vbs", "https://inner.test", interface="internal"),
            service("vbs", "https://vbs.test/v2/$(tenant_id)s"),
            service("volumev3", f"https://evs.test/v3/{PROJECT}"),
        ]
        self.refuses: set[str] = set()

    def write(self, auth: Entry, file: str = "clouds.yaml", **rest: Any) -> None:
        entry = {"auth": auth, "region_name": "eu-de", **rest}
        (self.folder / file).write_text(yaml.safe_dump({"clouds": {"otc": entry}}))

    def __call__(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.reply)

    def reply(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        host, path = request.url.host, request.url.path
        if host in self.refuses:
            return answer(401, {"error_code": "APIG.0301", "error_msg": "ak not exist"})
        if path == "/v3/projects":
            return answer(200, {"projects": self.projects})
        if path == "/v3/auth/catalog":
            return answer(200, {"catalog": self.catalog})
        if path.endswith("/quota"):
            return answer(200, {"quotas": {"resources": []}})
        return answer(200, {"job_id": "j1"})

    def asked(self) -> list[str]:
        return [f"{request.url.host}{request.url.raw_path.decode()}" for request in self.requests]

    async def enter(self, choice: CloudChoice | None = None) -> CloudService:
        arranged = connect(choice or CloudChoice(), timeouts=Timeouts(), transport=self)
        async with arranged as entered:
            await entered.create(a_job(), 0)
            return entered

    async def refused(self, choice: CloudChoice | None = None) -> str:
        with pytest.raises(SignInError) as caught:
            await self.enter(choice)
        text = str(caught.value)
        assert "\n" not in text
        assert SK not in "".join(traceback.format_exception(caught.value))
        return text


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


QUOTA = f"vbs.test/v2/{PROJECT}/cloudbackups/quota"
CREATE = f"vbs.test/v2/{PROJECT}/cloudbackups"


async def test_project_and_catalog_are_asked_for_with_signed_requests(cloud: Cloud) -> None:
    cloud.write(KEY | {"project_name": "eu-de"})
    entered = await cloud.enter()
    assert cloud.asked() == [
        "iam.test/v3/projects?name=eu-de",
        "iam.test/v3/auth/catalog",
        QUOTA,
        CREATE,
    ]
    assert all("Signature=" in request.headers["Authorization"] for request in cloud.requests)
    projects = [request.headers.get("X-Project-Id") for request in cloud.requests]
    assert projects == [None, PROJECT, PROJECT, PROJECT]
    assert (entered.cloud_name, entered.region, entered.project_id) == ("otc", "eu-de", PROJECT)
    assert entered.read_calls == 3


async def test_with_project_and_endpoint_the_identity_service_is_not_used(cloud: Cloud) -> None:
    cloud.write({"ak": "AK", "sk": SK, "project_id": PROJECT}, vbs_endpoint_override=VBS)
    await cloud.enter()
    assert cloud.asked() == [QUOTA, CREATE]
    cloud.write({"ak": "AK", "sk": SK, "project_id": PROJECT})
    await cloud.enter(CloudChoice(vbs_endpoint=VBS))
    assert cloud.asked() == [QUOTA, CREATE] * 2


async def test_cinder_works_with_a_key_if_its_endpoint_is_known(cloud: Cloud) -> None:
    auth = {"ak": "AK", "sk": SK, "project_id": PROJECT}
    cloud.write(auth, block_storage_endpoint_override=f"https://evs.test/v3/{PROJECT}")
    await cloud.enter(CloudChoice(service=Service.CINDER))
    assert {where.partition("/")[0] for where in cloud.asked()} == {"evs.test"}
    assert all("Signature=" in request.headers["Authorization"] for request in cloud.requests)


async def test_the_secret_key_may_stand_in_secure_yaml_or_the_environment(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.write({"ak": "AK", "auth_url": AUTH_URL, "project_name": "eu-de"})
    cloud.write({"sk": SK}, "secure.yaml")
    await cloud.enter()
    (cloud.folder / "secure.yaml").unlink()
    cloud.write({"auth_url": AUTH_URL, "project_name": "eu-de"})
    monkeypatch.setenv("HUAWEICLOUD_SDK_AK", "HW")
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SK)
    await cloud.enter()
    assert "Access=HW," in cloud.requests[-1].headers["Authorization"]


async def test_the_environment_alone_is_a_cloud(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "OS_ACCESS_KEY": "AK", "OS_SECRET_KEY": SK, "OS_AUTH_URL": AUTH_URL,
        "OS_PROJECT_NAME": "eu-de", "OS_REGION_NAME": "eu-de",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert (await cloud.enter()).cloud_name == "envvars"


async def test_the_vendor_profile_knows_where_identity_is(cloud: Cloud) -> None:
    cloud.write({"ak": "AK", "sk": SK, "project_name": "eu-de"}, profile="otc")
    await cloud.enter()
    assert cloud.asked()[0].startswith("iam.eu-de.otc.t-systems.com/v3/projects")


@pytest.mark.parametrize(
    ("auth", "says"),
    [
        (KEY, "set project_id (or project_name)"),
        (KEY | {"project_name": "nope"}, "no project named 'nope'"),
        (
            KEY | {"project_name": "x", "auth_url": None},
            "auth_url is needed to look up project 'x'",
        ),
        (KEY | {"project_id": PROJECT, "auth_url": None}, "set vbs_endpoint_override"),
        (KEY | {"project_id": PROJECT, "auth_url": "nonsense"}, "not an http:// or https:// URL"),
        (KEY | {"project_name": "eu-de", "password": "p"}, "a password and an access key"),
    ],
)
async def test_what_is_missing_is_told_in_one_line(cloud: Cloud, auth: Entry, says: str) -> None:
    cloud.write({name: value for name, value in auth.items() if value})
    assert says in await cloud.refused()


@pytest.mark.parametrize("projects", [None, [], [{"name": "eu-de"}], ["odd"], "odd"])
async def test_an_odd_list_of_projects_names_none(cloud: Cloud, projects: Any) -> None:
    cloud.projects = projects
    cloud.write(KEY | {"project_name": "eu-de"})
    assert "project named 'eu-de'" in await cloud.refused()


async def test_two_projects_of_one_name_are_an_error(cloud: Cloud) -> None:
    cloud.projects = [{"id": "a", "name": "eu-de"}, {"id": "b", "name": "eu-de"}]
    cloud.write(KEY | {"project_name": "eu-de"})
    assert "several projects named 'eu-de'" in await cloud.refused()


@pytest.mark.parametrize("catalog", [None, [], [{"type": "vbs"}], [{"endpoints": [7]}], "odd"])
async def test_an_odd_catalog_has_no_service(cloud: Cloud, catalog: Any) -> None:
    cloud.catalog = catalog
    cloud.write(KEY | {"project_id": PROJECT})
    assert "the catalog has no volume backup service" in await cloud.refused()


@pytest.mark.parametrize("host", ["iam.test", "vbs.test"])
async def test_a_refused_key_ends_the_sign_in_after_one_request(cloud: Cloud, host: str) -> None:
    cloud.refuses = {host}
    cloud.write(KEY | {"project_name": "eu-de"})
    text = await cloud.refused()
    assert "the access key AK was refused (APIG.0301 ak not exist)" in text
    assert len([where for where in cloud.asked() if where.startswith(host)]) == 1


async def test_an_outage_of_identity_is_told_as_one(cloud: Cloud) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed")

    cloud.write(KEY | {"project_name": "eu-de"})
    with pytest.raises(SignInError, match="the identity service: cannot connect"):
        async with connect(CloudChoice(), transport=lambda: httpx.MockTransport(broken)):
            pass


async def test_an_outage_of_the_service_does_not_refuse_a_key(cloud: Cloud) -> None:
    """A resume in an outage waits and probes, as it does with a token."""

    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("All connection attempts failed")

    cloud.write({"ak": "AK", "sk": SK, "project_id": PROJECT}, vbs_endpoint_override=VBS)
    async with connect(CloudChoice(), transport=lambda: httpx.MockTransport(broken)) as entered:
        assert (await entered.create(a_job(), 0)).status is None
