"""Signing in through openstacksdk's configuration: what works, one line for what does not."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml
from keystoneauth1 import exceptions as keystone_exceptions
from openstack import exceptions as sdk_exceptions

from vbsbatch.cloud import CloudChoice, CloudService, connect, connection
from vbsbatch.cloud.sign_in_faults import translated
from vbsbatch.cloud.tokens import Tokens
from vbsbatch.errors import CloudRefused, CloudUnavailable, SignInError
from vbsbatch.model import Elapsed, Service, Timeouts

from .fake_keystone import FakeKeystone, private_certificate, running
from .fixtures import PASSWORD, PROJECT, SECRET, a_job, answer

pytestmark = pytest.mark.anyio
SOON = Timeouts(connect=1.0, read=1.0)


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from openstack.config import loader

    for name in list(os.environ):
        if name.startswith("OS_") or name.lower().endswith("_proxy") or name.endswith("CA_BUNDLE"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(loader, "CONFIG_FILES", [str(tmp_path / "clouds.yaml")])
    monkeypatch.setattr(loader, "SECURE_FILES", [str(tmp_path / "secure.yaml")])


@pytest.fixture
def keystone() -> Iterator[FakeKeystone]:
    with running() as server:
        server.offer("vbs", f"https://vbs.test/v2/{PROJECT}")
        server.offer("volumev3", f"https://evs.test/v3/{PROJECT}")
        yield server


class Clouds:
    """clouds.yaml in the test's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, keystone: FakeKeystone, name: str = "otc", **changes: Any) -> None:
        auth = {
            "auth_url": keystone.url + "/v3", "username": "backup", "password": PASSWORD,
            "project_name": "prod", "user_domain_name": "Default",
            "project_domain_name": "Default",
        }  # fmt: skip
        auth |= changes.pop("auth", {})
        auth = {key: value for key, value in auth.items() if value is not None}
        entry = {"auth": auth, "region_name": "eu-de", **changes}
        self.put({name: {key: value for key, value in entry.items() if value is not None}})

    def put(self, clouds: Any) -> None:
        (self.folder / "clouds.yaml").write_text(yaml.safe_dump({"clouds": clouds}))


@pytest.fixture
def clouds(tmp_path: Path) -> Clouds:
    return Clouds(tmp_path)


class Wire:
    """The services' side of the network: keeps requests, answers by path."""

    def __init__(self, **replies: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self.replies = replies

    def __call__(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.reply)

    def reply(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.replies.get(request.url.path.split("/")[-1], answer(404, b"<html>"))


async def signed_in(choice: CloudChoice, wire: Wire | None = None) -> CloudService:
    async with connect(choice, timeouts=SOON, transport=wire or Wire()) as service:
        return service


async def refused(choice: CloudChoice | None = None, wire: Wire | None = None) -> str:
    """The one line that a sign-in ends with; no secret in it nor in its traceback."""
    with pytest.raises(SignInError) as caught:
        await signed_in(choice or CloudChoice(), wire)
    text = str(caught.value)
    assert "\n" not in text
    shown = text + repr(caught.value) + "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert SECRET not in shown
    return text


async def test_a_cloud_signs_in_and_its_service_works(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone)
    wire = Wire(cloudbackups=answer(200, {"job_id": "j1"}))
    choice = CloudChoice(cloud="otc")
    async with connect(choice, timeouts=SOON, transport=wire) as service:
        assert (service.cloud_name, service.region, service.project_id) == ("otc", "eu-de", PROJECT)
        result = await service.create(a_job(), 0)
        assert result.cloud_job_id == "j1"
        calls = service.read_calls
    (request,) = wire.requests
    assert request.headers["x-auth-token"] == f"{SECRET}-1"
    assert calls == 1 + len(keystone.posted)  # one discovery, one token


async def test_the_token_is_renewed_once_for_all_and_counted(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone)
    async with connect(CloudChoice(), timeouts=SOON, transport=Wire()) as service:
        before, now = service.read_calls, time.time()
        await service.renew_token(Elapsed(now))
        await service.renew_token(Elapsed(now))
        assert (keystone.tokens, service.read_calls - before) == (2, 1)


async def test_a_token_lives_by_our_clock_whatever_the_servers_says(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    keystone.ahead, keystone.life = -7200.0, 3600.0
    clouds.write(keystone)
    async with connect(CloudChoice(), timeouts=SOON, transport=Wire()) as service:
        credentials = service._session.credentials
        assert isinstance(credentials, Tokens)
        token = await credentials.token()
        assert token.expires_at - time.time() == pytest.approx(3600, abs=10)
        assert keystone.tokens == 1


async def test_the_environment_alone_is_a_cloud(
    keystone: FakeKeystone, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AUTH_URL": keystone.url + "/v3", "USERNAME": "backup", "PASSWORD": PASSWORD,
        "PROJECT_NAME": "prod", "USER_DOMAIN_NAME": "Default", "REGION_NAME": "eu-de",
        "PROJECT_DOMAIN_NAME": "Default",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"OS_{name}", value)
    assert (await signed_in(CloudChoice())).cloud_name == "envvars"


async def test_the_password_may_stand_in_secure_yaml(
    keystone: FakeKeystone, clouds: Clouds, tmp_path: Path
) -> None:
    clouds.write(keystone, auth={"password": None})
    assert "no password" in await refused()
    secure = {"clouds": {"otc": {"auth": {"password": PASSWORD}}}}
    (tmp_path / "secure.yaml").write_text(yaml.safe_dump(secure))
    assert (await signed_in(CloudChoice())).project_id == PROJECT


async def test_any_plugin_of_keystoneauth_will_do(keystone: FakeKeystone, clouds: Clouds) -> None:
    auth = {
        "auth_url": keystone.url,
        "application_credential_id": "app",
        "application_credential_secret": PASSWORD,
    }
    entry = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": "eu-de"}
    clouds.put({"otc": entry})
    assert (await signed_in(CloudChoice())).project_id == PROJECT


async def test_the_vendor_profile_otc_is_known(clouds: Clouds) -> None:
    auth = {"username": "u", "password": PASSWORD, "project_name": "eu-de"}
    clouds.put({"t": {"profile": "otc", "region_name": "eu-xx", "auth": auth}})
    text = await refused()
    assert "iam.eu-xx.otc.t-systems.com" in text or "eu-xx" in text


async def test_os_cloud_and_the_argument_choose_and_the_argument_wins(
    keystone: FakeKeystone, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds.write(keystone, name="otc-prod")
    path = clouds.folder / "clouds.yaml"
    entry = yaml.safe_load(path.read_text())["clouds"]["otc-prod"]
    clouds.put({"otc-prod": entry, "lab": entry})
    assert "which cloud?" in await refused()
    monkeypatch.setenv("OS_CLOUD", "lab")
    assert (await signed_in(CloudChoice())).cloud_name == "lab"
    assert (await signed_in(CloudChoice(cloud="otc-prod"))).cloud_name == "otc-prod"
    text = await refused(CloudChoice(cloud="otc-prd"))
    assert text == "no cloud named 'otc-prd'; known: lab, otc-prod; did you mean 'otc-prod'?"


async def test_no_credentials_at_all_says_where_they_go() -> None:
    assert "no credentials" in await refused()
    assert "clouds.yaml" in await refused()


async def test_a_named_file_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nowhere/clouds.yaml")
    assert "/nowhere/clouds.yaml, which does not exist" in await refused()


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (f"clouds:\n  otc:\n    auth: {{password: *{PASSWORD}}}\n", ":3:22: not valid YAML"),
        (f"clouds:\n\t{PASSWORD}", ":2:1: not valid YAML"),
        (f"clouds: \x07{PASSWORD}", "not valid YAML"),
        ("", "no mapping `clouds:`"),
        ("- 1", "no mapping `clouds:`"),
        ("clouds: [a]", "no mapping `clouds:`"),
        (f"clouds: {{otc: {PASSWORD}}}", "cloud 'otc' is not a mapping"),
        (f"clouds: {{otc: {{auth: {PASSWORD}}}}}", "cloud 'otc' is not a mapping"),
        (f"clouds: {{otc: {{auth: {{auth_url: 7, password: {PASSWORD}}}}}}}", "wrong kind"),
        (f"clouds: {{otc: {{auth: {{password: {PASSWORD}}}}}}}", "auth lacks auth_url"),
        ("clouds: {otc: {auth: {auth_url: 'h:5000/v3'}}}", "auth_url h:5000/v3: not an http://"),
        (
            f"clouds: {{otc: {{auth: {{auth_url: 'http://h/v3', user_nam: {PASSWORD}}}}}}}",
            "its auth in clouds.yaml has user_nam, which its auth_type does not know",
        ),
        ("clouds: {otc: {auth_type: nosuch}}", "auth_type 'nosuch' is not known"),
        ("clouds: {otc: {auth_type: none}}", "does not sign in to Keystone"),
        ("clouds: {otc: {auth: {auth_url: 'http://h/v3', password: x}}}", "no username"),
    ],
)
async def test_an_error_in_clouds_yaml_is_reported_with_its_position(
    content: str, where: str, clouds: Clouds
) -> None:
    (clouds.folder / "clouds.yaml").write_text(content)
    assert where in await refused(CloudChoice(cloud="otc"))


async def test_a_wrong_password_is_refused_without_repeating_it(
    keystone: FakeKeystone, clouds: Clouds, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = PASSWORD + "-wrong"
    clouds.write(keystone, auth={"password": wrong})
    with caplog.at_level(logging.DEBUG):
        text = await refused()
    assert "refused the credentials (401): " in text
    assert text.endswith(": check user, password, project")
    assert "cloud 'otc'" in text
    assert wrong not in caplog.text


@pytest.mark.parametrize(
    ("auth_type", "auth", "means"),
    [
        (
            "v3applicationcredential",
            {"application_credential_id": "a", "application_credential_secret": "wrong"},
            "the application credential, which may have expired",
        ),
        ("v3token", {"token": "wrong"}, "the token, which may have expired"),
    ],
)
async def test_refused_credentials_are_called_what_they_are(
    auth_type: str, auth: dict[str, str], means: str, keystone: FakeKeystone, clouds: Clouds
) -> None:
    entry = {"auth_type": auth_type, "auth": {"auth_url": f"{keystone.url}/v3", **auth}}
    clouds.put({"otc": entry})
    text = await refused()
    assert "refused the credentials (401): " in text
    assert text.endswith(f": check {means}")
    assert "wrong" not in text


async def test_an_unscoped_token_asks_for_a_project(keystone: FakeKeystone, clouds: Clouds) -> None:
    keystone.project_id = None
    clouds.write(keystone, auth={"project_name": None, "project_domain_name": None})
    assert "set project_name (or project_id)" in await refused()


async def test_an_unreachable_identity_service_has_a_message_of_its_own(
    keystone: FakeKeystone, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds.write(keystone, auth={"auth_url": "http://no-such-host.invalid/v3"})
    assert "cannot be resolved (DNS): check auth_url" in await refused()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        clouds.write(keystone, auth={"auth_url": f"http://127.0.0.1:{port}/v3"})
        assert "connection refused: check auth_url" in await refused()
        clouds.write(keystone)
        monkeypatch.setenv("HTTP_PROXY", f"http://u:{PASSWORD}@127.0.0.1:{port}")
        assert "proxy" in (text := await refused())
        assert "auth_url" not in text


async def test_a_wrong_scheme_is_reported_as_a_tls_error(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone, auth={"auth_url": keystone.url.replace("http:", "https:")})
    text = await refused()
    assert "TLS: [SSL" in text
    assert "check auth_url" in text
    assert "HTTPSConnectionPool" not in text


async def test_an_identity_service_that_hangs_is_given_up(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/v3"
        clouds.write(keystone, auth={"auth_url": url}, api_timeout=0.2)
        assert "does not answer in time" in await refused()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "requires a token"),
        (403, "forbids"),
        (404, "lead to a Keystone (404)"),
        (500, "unavailable (500)"),
        (503, "(503)"),
    ],
)
async def test_an_unusual_answer_of_the_identity_service_is_reported(
    status: int,
    text: str,
    keystone: FakeKeystone,
    clouds: Clouds,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "AGAIN", (0.01, 0.01))
    keystone.status = status
    clouds.write(keystone)
    assert text in await refused()


@pytest.mark.parametrize(("busy", "signs_in"), [(1, True), (2, True), (3, False)])
async def test_an_identity_service_that_is_busy_for_a_moment_is_asked_again(
    busy: int,
    signs_in: bool,
    keystone: FakeKeystone,
    clouds: Clouds,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "AGAIN", (0.01, 0.01))
    keystone.busy = busy
    clouds.write(keystone)
    if signs_in:
        async with connect(CloudChoice(), timeouts=SOON, transport=Wire()):
            assert keystone.tokens == 1
    else:
        assert "unavailable (503): try again later" in await refused()
    assert len(keystone.posted) == min(busy + 1, 3)


async def test_a_page_instead_of_keystone_is_told(keystone: FakeKeystone, clouds: Clouds) -> None:
    keystone.status, keystone.body = 200, b"<html>welcome</html>"
    clouds.write(keystone)
    assert "auth_url" in await refused()


async def test_an_outage_while_renewing_is_no_refusal(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone)
    async with connect(CloudChoice(), timeouts=SOON, transport=Wire()) as service:
        keystone.status = 503
        with pytest.raises(CloudUnavailable, match=r"unavailable \(503\)"):
            await service.renew_token(Elapsed(time.time()))
        keystone.status = 401
        with pytest.raises(SignInError):
            await service.renew_token(Elapsed(time.time()))


async def test_a_private_ca_is_asked_for_and_then_trusted_by_both_libraries(
    clouds: Clouds, tmp_path: Path
) -> None:
    certificate = private_certificate(tmp_path)
    with running(certificate) as keystone:
        keystone.offer("vbs", f"{keystone.url}/v2/{PROJECT}")
        clouds.write(keystone)
        text = await refused()
        assert "TLS: certificate not trusted" in text
        assert "cacert:" in text
        for settings in ({"cacert": str(certificate)}, {"verify": False}):
            clouds.write(keystone, **settings)
            async with connect(CloudChoice(), timeouts=SOON) as service:
                result = await service.create(a_job(), 0)
            assert result.status == 401  # the fake's refusal: the handshake went well
        clouds.write(keystone, cacert=str(tmp_path / "missing.pem"))
        assert "missing.pem" in await refused()


async def test_an_unreadable_client_certificate_is_reported(
    keystone: FakeKeystone, clouds: Clouds, tmp_path: Path
) -> None:
    clouds.write(keystone, cert=str(tmp_path / "client.pem"), key=str(tmp_path / "client.key"))
    with pytest.raises(SignInError, match=r"cert: .*client\.pem"):
        async with connect(CloudChoice(), timeouts=SOON):
            pass


async def test_a_catalog_without_any_backup_service_is_refused_after_two_questions(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    del keystone.catalog[0]
    clouds.write(keystone)
    wire = Wire()
    text = await refused(wire=wire)
    assert "no volume backup service (it has: volumev3)" in text
    assert "vbs_endpoint_override" in text
    assert [request.url.path for request in wire.requests] == [
        f"/v2/{PROJECT}/cloudbackups/quota",
        f"/v3/{PROJECT}/backups",
    ]
    keystone.catalog.clear()
    assert "it has: nothing for this region and interface" in await refused()


CINDER = {"backups": answer(200, {"backups": []})}
BOTH = {**CINDER, "quota": answer(200, {"quotas": {"resources": []}})}


@pytest.mark.parametrize(
    ("wanted", "named", "served", "found"),
    [
        (None, True, CINDER, Service.VBS),
        (None, False, BOTH, Service.VBS),
        (None, False, CINDER, Service.CINDER),
        (Service.VBS, True, CINDER, Service.VBS),
        (Service.VBS, False, BOTH, Service.VBS),
        (Service.CINDER, True, CINDER, Service.CINDER),
        (Service.CINDER, False, BOTH, Service.CINDER),
    ],
)
async def test_the_service_is_the_one_asked_for_or_what_the_cloud_offers_vbs_first(
    keystone: FakeKeystone,
    clouds: Clouds,
    wanted: Service | None,
    named: bool,
    served: dict[str, httpx.Response],
    found: Service,
) -> None:
    if not named:
        del keystone.catalog[0]
    clouds.write(keystone)
    service = await signed_in(CloudChoice(service=wanted), Wire(**served))
    assert service.facts.service is found


async def test_cbr_is_taken_where_the_catalog_names_it_and_nothing_offers_vbs(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    keystone.offer("cbr", f"https://cbr.test/v3/{PROJECT}")
    clouds.write(keystone)
    assert (await signed_in(CloudChoice(), Wire(**CINDER))).facts.service is Service.VBS
    del keystone.catalog[0]
    service = await signed_in(CloudChoice(), Wire(**CINDER))
    assert (service.facts.service, service.endpoint) == (Service.CBR, "https://cbr.test")
    named = CloudChoice(cbr_endpoint="https://own.test/v3", service=Service.CBR)
    assert (await signed_in(named, Wire())).endpoint == "https://own.test"


async def test_cbr_is_refused_where_nobody_names_it(keystone: FakeKeystone, clouds: Clouds) -> None:
    clouds.write(keystone)
    text = await refused(CloudChoice(service=Service.CBR), Wire(**BOTH))
    assert "no cloud backup and recovery service (it has: vbs, volumev3)" in text
    assert "cbr_endpoint_override" in text


async def test_a_service_that_the_cloud_does_not_offer_is_refused_in_one_line(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone)
    cinder = CloudChoice(service=Service.CINDER)
    text = "no block storage with backups (it has: vbs, volumev3)"
    assert text in await refused(cinder, Wire())
    del keystone.catalog[0]
    vbs = CloudChoice(service=Service.VBS)
    assert "no volume backup service (it has: volumev3)" in await refused(vbs, Wire(**CINDER))
    keystone.catalog.clear()
    keystone.offer("vbs", "https://vbs.test")
    assert "no block storage with backups (it has: vbs)" in await refused(cinder, Wire(**CINDER))


async def test_block_storage_that_does_not_answer_is_not_taken_for_one_without_backups(
    keystone: FakeKeystone, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "AGAIN", (0.01, 0.01))
    clouds.write(keystone)
    down = Wire(backups=answer(503, {"badGateway": {"code": 503, "message": "down"}}))
    asked = (Service.VBS, Service.CINDER)
    for wanted in asked:
        assert (await signed_in(CloudChoice(service=wanted), down)).facts.service is wanted
    del keystone.catalog[0]
    down.replies["quota"] = down.replies["backups"]
    for wanted in asked:
        assert (await signed_in(CloudChoice(service=wanted), down)).facts.service is wanted
    text = await refused(CloudChoice(), down)
    assert "block storage does not list its backups: 503" in text
    assert "the catalog has no" not in text


async def test_block_storage_that_is_busy_is_asked_again_what_it_offers(
    keystone: FakeKeystone, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "AGAIN", (0.01, 0.01))
    del keystone.catalog[0]
    clouds.write(keystone)
    busy = [answer(503), answer(429)]

    class Busy(Wire):
        def reply(self, request: httpx.Request) -> httpx.Response:
            said = super().reply(request)
            return busy.pop() if busy and request.url.path.endswith("/backups") else said

    service = await signed_in(CloudChoice(), Busy(**CINDER))
    assert (service.facts.service, busy) == (Service.CINDER, [])


async def test_vbs_at_the_endpoint_of_block_storage_is_found(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    del keystone.catalog[0]
    clouds.write(keystone)
    wire = Wire(quota=answer(200, {"quotas": {"resources": []}}), cloudbackups=answer(200, {}))
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(connect(CloudChoice(), transport=wire))
        await service.create(a_job(), 0)
    assert wire.requests[-1].url.host == "evs.test"


async def test_overrides_win_over_the_catalog_and_arguments_over_both(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(
        keystone,
        vbs_endpoint_override="https://own.test/vbs/v2",
        volumev3_endpoint_override="https://store.test:8776/",
    )
    backups = answer(200, {"backups": []})
    wire = Wire(cloudbackups=answer(200, {}), detail=backups)
    async with connect(CloudChoice(), transport=wire) as service:
        await service.create(a_job(), 0)
        await service.backups()
    hosts = [f"{request.url.host}{request.url.path}" for request in wire.requests]
    assert hosts == [
        f"own.test/vbs/v2/{PROJECT}/cloudbackups",
        f"store.test/v3/{PROJECT}/backups/detail",
    ]
    choice = CloudChoice(vbs_endpoint="https://arg.test", block_storage_endpoint="https://b.test")
    async with connect(choice, transport=wire) as service:
        await service.create(a_job(), 0)
    assert wire.requests[-1].url.host == "arg.test"


async def test_several_regions_ask_for_one(keystone: FakeKeystone, clouds: Clouds) -> None:
    nl = {"region": "eu-nl", "region_id": "eu-nl", "url": "https://nl.test", "interface": "public"}
    keystone.catalog[0]["endpoints"].append({"id": "nl", **nl})
    clouds.write(keystone, region_name=None)
    assert "vbs is offered in eu-de, eu-nl: set region_name" in await refused()
    clouds.write(keystone, region_name="eu-xx")
    assert "region_name" in await refused()


async def test_nothing_is_written_to_the_screen(
    keystone: FakeKeystone, clouds: Clouds, capfd: pytest.CaptureFixture[str]
) -> None:
    clouds.write(keystone, auth={"auth_url": "http://no-such-host.invalid"})
    await refused()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        clouds.write(keystone)
        await signed_in(CloudChoice())
    assert capfd.readouterr() == ("", "")


def exceptions_of(module: Any) -> list[type[Exception]]:
    found = [value for value in vars(module).values() if isinstance(value, type)]
    return sorted(
        {value for value in found if issubclass(value, Exception)}, key=lambda kind: kind.__name__
    )


@pytest.mark.parametrize(
    "kind", exceptions_of(keystone_exceptions) + exceptions_of(sdk_exceptions), ids=repr
)
@pytest.mark.parametrize("renewing", [False, True])
def test_every_exception_of_the_sign_in_libraries_is_translated(
    kind: type[Exception], renewing: bool
) -> None:
    error = kind.__new__(kind, PASSWORD)  # whatever its constructor asks for
    error.args = (f"it was {PASSWORD}\x1b[2J",)
    ours = translated(error, "cloud 'x'", {PASSWORD}, renewing=renewing)
    assert isinstance(ours, SignInError | CloudUnavailable)
    assert renewing or isinstance(ours, SignInError)
    assert PASSWORD not in str(ours)
    assert "\x1b" not in str(ours)


def test_importing_the_room_loads_neither_openstack_nor_httpx() -> None:
    code = (
        "import sys, vbsbatch.cloud; "
        "print([m for m in ('openstack', 'keystoneauth1', 'httpx', 'ssl') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


IN_THE_WAY = [
    (404, b"<html>no route</html>"),
    (404, b'{"error_code": "APIGW.0101", "error_msg": "no such API"}'),
    (403, b"<html>go away</html>"),
    (405, b""),
    (200, b"<html>welcome"),
]


@pytest.mark.parametrize(("status", "body"), IN_THE_WAY)
async def test_a_gateway_that_reloads_while_a_token_is_renewed_is_an_outage_until_it_lasts(
    status: int, body: bytes, keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone)
    now = [time.time()]
    async with connect(
        CloudChoice(), timeouts=SOON, transport=Wire(), now=lambda: now[0]
    ) as service:
        keystone.status, keystone.body = status, body
        for _ in range(3):
            with pytest.raises(CloudUnavailable):
                await service.renew_token(Elapsed(now[0]))
            now[0] += 10
        keystone.status = None
        await service.renew_token(Elapsed(now[0]))
        keystone.status = status
        for _ in range(3):
            with pytest.raises(CloudUnavailable):
                await service.renew_token(Elapsed(now[0]))
            now[0] += 25
        with pytest.raises(SignInError):
            await service.renew_token(Elapsed(now[0]))


@pytest.mark.parametrize(("status", "body"), IN_THE_WAY)
async def test_a_gateway_that_reloads_at_the_first_sign_in_is_given_a_moment(
    status: int, body: bytes, keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone)
    keystone.status, keystone.body = status, body

    async def mended() -> None:
        await anyio.sleep(0.3)
        keystone.status = None

    async with anyio.create_task_group() as group:
        group.start_soon(mended)
        async with connect(CloudChoice(), timeouts=SOON, transport=Wire()):
            assert keystone.tokens == 1


async def test_keystones_own_refusal_is_told_at_once(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone)
    keystone.says = (403, {"error": {"code": 403, "message": "the user is locked"}}, {})
    assert "locked" in await refused()
    assert len(keystone.posted) == 1


async def test_the_first_answer_at_an_endpoint_that_served_an_earlier_engine_is_no_verdict_yet(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone)
    async with connect(CloudChoice(), timeouts=SOON, transport=Wire()) as service:
        with pytest.raises(CloudRefused):
            await service.backups()
        service.worked_before()
        with pytest.raises(CloudUnavailable):
            await service.backups()


@pytest.mark.parametrize(
    ("offered", "wanted", "served", "found"),
    [
        (("vbs", "cbr"), None, CINDER, [Service.VBS, Service.CBR]),
        (("vbs",), None, CINDER, [Service.VBS]),
        (("cbr",), None, CINDER, [Service.CBR, Service.CINDER]),
        (("cbr",), None, {}, [Service.CBR]),
        ((), None, CINDER, [Service.CINDER]),
        (("vbs", "cbr"), Service.CBR, CINDER, [Service.CBR]),
    ],
)
async def test_all_services_are_those_whose_lists_differ(
    keystone: FakeKeystone,
    clouds: Clouds,
    offered: tuple[str, ...],
    wanted: Service | None,
    served: dict[str, httpx.Response],
    found: list[Service],
) -> None:
    del keystone.catalog[0]
    for name in offered:
        keystone.offer(name, f"https://{name}.test/v3/{PROJECT}")
    clouds.write(keystone)
    choice, wire = CloudChoice(service=wanted), Wire(**served)
    async with connection.connect_all(choice, timeouts=SOON, transport=wire) as services:
        assert [each.facts.service for each in services] == found
        assert {each.project_name for each in services} == {"prod"}


async def test_a_service_of_which_nobody_tells_whether_it_is_there_is_not_left_out(
    keystone: FakeKeystone, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "AGAIN", (0.0,))
    del keystone.catalog[0]
    keystone.offer("cbr", f"https://cbr.test/v3/{PROJECT}")
    clouds.write(keystone)
    down = Wire(quota=answer(404, b"{}"), backups=answer(503, b"{}"))
    with pytest.raises(SignInError, match="does not list its backups"):
        async with connection.connect_all(CloudChoice(), timeouts=SOON, transport=down):
            pass
