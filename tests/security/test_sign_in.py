"""A hostile identity service: redirects, plain HTTP, answers without bounds."""

from __future__ import annotations

import gzip
import io
import os
import resource
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import trustme
import urllib3
from hypothesis import given, settings
from hypothesis import strategies as st
from keystoneauth1 import session as keystone_session
from keystoneauth1.exceptions import UnknownConnectionError
from requests.adapters import BaseAdapter

from tests.cli.clouds import GlassCloud, Tls, glass_cloud
from tests.cli.harness import FAST, Harness
from vbsbatch.cloud import CloudChoice, CloudService, connect
from vbsbatch.cloud.bounded_sign_in import MOST, bind
from vbsbatch.errors import CloudUnavailable, SignInError
from vbsbatch.model import Elapsed, Timeouts

pytestmark = pytest.mark.anyio
SOON = Timeouts(connect=0.3, read=0.3)
"""So a sign-in may take 3.3 s."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Two:
    """A cloud that speaks TLS, and a server in clear that would like to know what it is told."""

    cloud: GlassCloud
    thief: GlassCloud
    clouds: Path

    def asked_of_thief(self) -> int:
        return sum(self.thief.summary()["calls"].values())


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    shown = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
    shown.write_to_path(tmp_path / "server.pem")
    doors = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    tls = Tls(certificate=tmp_path / "server.pem", doors=doors)
    thief = glass_cloud(tmp_path / "thief.yaml", FAST, volumes=3)
    cloud = glass_cloud(tmp_path / "clouds.yaml", FAST, volumes=3, tls=tls)
    for name in list(os.environ):
        if name.startswith("OS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    found = Two(cloud=cloud, thief=thief, clouds=tmp_path / "clouds.yaml")
    add(found.clouds, f"cacert: {tmp_path / 'ca.pem'}")
    yield found
    cloud.stop()
    thief.stop()


def add(clouds: Path, line: str) -> None:
    """One more line in every entry of clouds.yaml."""
    text = clouds.read_text()
    clouds.write_text(text.replace("    region_name:", f"    {line}\n    region_name:"))


async def enter(**choice: str) -> CloudService:
    choice = {"cloud": "simulator"} | choice
    async with connect(CloudChoice(**choice), timeouts=SOON) as service:  # type: ignore[arg-type]
        return service


async def refused(**choice: str) -> str:
    with pytest.raises(SignInError) as caught:
        await enter(**choice)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 305, 307, 308])
async def test_no_redirect_of_a_sign_in_is_followed(two: Two, status: int) -> None:
    two.cloud.behave(
        f"faults: [{{on: token, do: redirect, status: {status}, to: {two.thief.url}/}}]"
    )
    line = await refused()
    assert f"redirects ({status}) to {two.thief.url}/identity/v3/auth/tokens" in line
    assert two.asked_of_thief() == 0


async def test_no_redirect_of_version_discovery_is_followed(two: Two) -> None:
    two.cloud.behave(f"faults: [{{on: other, do: redirect, to: {two.thief.url}/}}]")
    assert f"redirects (302) to {two.thief.url}/identity/v3" in await refused()
    assert two.asked_of_thief() == 0


@pytest.mark.parametrize("cloud", ["simulator", "simulator-aksk"])
async def test_no_redirect_of_the_service_is_followed_and_its_target_is_shown(
    two: Two, cloud: str
) -> None:
    two.cloud.behave(
        f"faults: [{{on: any, do: redirect, to: 'http://me:pw@{two.thief.url[7:]}/'}}]"
    )
    if cloud == "simulator-aksk":
        assert f"a redirect to {two.thief.url}/" in await refused(cloud=cloud)
    else:
        two.cloud.behave(f"faults: [{{on: quota, do: redirect, to: {two.thief.url}/}}]")
        async with connect(CloudChoice(cloud=cloud), timeouts=SOON) as service:
            with pytest.raises(Exception, match=f"a redirect to {two.thief.url}/"):
                await service.quota()
    assert two.asked_of_thief() == 0


async def test_a_redirect_while_a_token_is_renewed_is_not_followed(two: Two) -> None:
    async with connect(CloudChoice(cloud="simulator"), timeouts=SOON) as service:
        two.cloud.behave(f"faults: [{{on: token, do: redirect, to: {two.thief.url}/}}]")
        with pytest.raises(SignInError, match="which is not followed"):
            await service.renew_token(used_since=Elapsed(time.time() + 60))
    assert two.asked_of_thief() == 0


@pytest.mark.parametrize("cloud", ["simulator", "simulator-aksk"])
async def test_a_catalog_cannot_move_the_token_from_https_to_http(two: Two, cloud: str) -> None:
    two.cloud.behave(f"catalog: {two.thief.url}")
    line = await refused(cloud=cloud)
    assert f"the catalog's endpoint {two.thief.url} is not" in line
    assert two.asked_of_thief() == 0


async def test_an_http_endpoint_named_by_the_user_is_used_with_a_warning(two: Two) -> None:
    add(two.clouds, f"compute_endpoint_override: {two.cloud.url}/compute/v2.1")
    named = {"vbs_endpoint": two.thief.url}
    service = await enter(**named)
    assert service.warnings == (
        f"{two.thief.url} is not https: the token is sent there unencrypted",
    )
    two.cloud.behave(f"catalog: {two.thief.url}")
    assert "volume is not" in await refused(**named)  # what nobody named is refused all the same
    add(two.clouds, f"block_storage_endpoint_override: {two.thief.url}/volume")
    assert len((await enter(**named)).warnings) == 2


async def test_the_password_of_an_https_identity_service_is_never_sent_over_http(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discovery names the address of the sign-in, and may say anything."""
    from vbsbatch.simulator import identity

    honest = identity._versions
    monkeypatch.setattr(identity, "_versions", lambda base, **how: honest(two.thief.url, **how))
    await enter()
    assert two.asked_of_thief() == 0
    session = keystone_session.Session()
    bind(session, f"{two.cloud.url}/identity/v3", 3.0)  # as any plugin has it
    with pytest.raises(UnknownConnectionError, match=f"wants the sign-in at {two.thief.url}/"):
        session.post(f"{two.thief.url}/identity/v3/auth/tokens", json={}, authenticated=False)
    assert two.asked_of_thief() == 0


def memory() -> int:
    """The most that this process ever took, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.parametrize("on", ["token", "other"])
@pytest.mark.parametrize("do", ["bomb", "endless"])
async def test_an_endless_answer_is_read_up_to_our_limit(two: Two, do: str, on: str) -> None:
    before = memory()
    two.cloud.behave(f"faults: [{{on: {on}, do: {do}}}]")
    assert "larger than 16 MiB" in await refused()
    assert memory() - before < 200


async def test_a_dripping_answer_ends_at_a_timeout(two: Two) -> None:
    two.cloud.behave("faults: [{on: token, do: drip, every: 100ms}]")
    began = time.monotonic()
    assert "does not answer in time" in await refused()
    assert time.monotonic() - began < 9


async def test_a_dripping_token_renewal_is_an_outage_and_no_refusal(two: Two) -> None:
    async with connect(CloudChoice(cloud="simulator"), timeouts=SOON) as service:
        two.cloud.behave("faults: [{on: token, do: drip, every: 100ms}]")
        with pytest.raises(CloudUnavailable):
            await service.renew_token(used_since=Elapsed(time.time() + 60))


@pytest.mark.parametrize("do", ["bomb", "endless", "drip, every: 100ms"])
async def test_a_catalog_for_an_access_key_has_the_same_bounds(two: Two, do: str) -> None:
    two.cloud.behave(f"faults: [{{on: other, do: {do}}}]")
    before = memory()
    await refused(cloud="simulator-aksk")
    assert memory() - before < 300


@pytest.mark.parametrize("word", ["verify: false", "insecure: true"])
def test_unchecked_certificates_cause_a_warning(two: Two, harness: Harness, word: str) -> None:
    harness.clouds.write_bytes(two.clouds.read_bytes())
    add(harness.clouds, word)
    (harness.folder / "fleet.json").write_text(f'["{two.cloud.volumes()[0]["ID"]}"]')
    assert "certificates are not checked" in harness("run", "plan.yaml").stderr
    assert "certificates are not checked" in harness("check", "plan.yaml").stderr
    assert "certificates are not checked" in harness("check", "plan.yaml", "--online").stdout
    told = harness("run", "plan.yaml", "--progress", "json").stderr
    assert '"kind":"warning"' in told.replace(" ", "")


class Drawn(BaseAdapter):
    """An identity service whose next answer is whatever was drawn."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__()
        self.status, self.headers, self.body = status, headers, body

    def send(self, request: requests.PreparedRequest, **how: object) -> requests.Response:  # type: ignore[override]
        answer = requests.Response()
        answer.status_code = self.status
        answer.headers.update(self.headers)
        answer.url = str(request.url)
        answer.raw = urllib3.HTTPResponse(
            io.BytesIO(self.body), headers=self.headers, preload_content=False
        )
        return answer

    def close(self) -> None:
        pass


@given(
    status=st.integers(100, 599),
    headers=st.dictionaries(
        st.sampled_from(["location", "content-encoding", "content-length", "transfer-encoding"]),
        st.one_of(
            st.sampled_from(["gzip", "deflate", "br", "identity", "chunked", "-1", "99999999999"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
        ),
    ),
    body=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=200).map(gzip.compress),
        st.integers(0, 200).map(lambda cut: gzip.compress(bytes(99_999))[:cut]),
        st.integers(17, 40).map(lambda size: gzip.compress(bytes(size << 20), 1)),
    ),
)
@settings(deadline=None, max_examples=80)
def test_any_answer_of_an_identity_service_is_complete_and_bounded_or_refused(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    session = keystone_session.Session()
    session.session.mount("https://", Drawn(status, headers, body))
    bind(session, "https://identity.test/v3", 3.0)
    carrier = session.session.get_adapter("https://identity.test/")
    request = requests.Request("GET", "https://identity.test/v3").prepare()
    with suppress(requests.exceptions.RequestException):
        answer = carrier.send(request)
        assert len(answer.content) <= MOST
        assert status not in (301, 302, 303, 305, 307, 308)
