"""Requests are signed as the gateway's own SDK signs them, by the server's clock."""

from __future__ import annotations

import string
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.server_clock import ServerClock
from vbsbatch.cloud.session import Session
from vbsbatch.cloud.signing import AccessKey, Signer, sign
from vbsbatch.cloud.vbs import VbsService
from vbsbatch.errors import CloudRefused, SignInError
from vbsbatch.model import Timeouts

from .fixtures import NOW, PROJECT, Clock, a_job, answer

pytestmark = pytest.mark.anyio

# From Huawei's "API Request Signing Guide", AK/SK Signing and Authentication Algorithm.
GUIDE_SK = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
GUIDE_URL = (
    "https://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs"
    "?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0"
)
GUIDE_SIGNATURE = "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"

KEY = AccessKey(ak="QTWAOYTTINDUT2QVKYUC", sk=GUIDE_SK)
TEMPORARY = AccessKey(ak="QTWAOYTTINDUT2QVKYUC", sk=GUIDE_SK, security_token="ggpj-the-token")
REFUSAL = {"error_code": "APIG.0301", "error_msg": "verify aksk signature fail"}

words = st.text(string.ascii_letters + string.digits + "-_.~ +/*%&=äλ", max_size=8)
parts = st.text(string.ascii_letters + string.digits + "-_.~ +*&=äλ", min_size=1, max_size=8)


def test_the_published_example_comes_out_to_the_letter() -> None:
    headers = [
        ("X-Sdk-Date", "20191115T033655Z"),
        ("Host", "service.region.example.com"),
        ("Content-Type", "application/json"),
    ]
    url = httpx.URL(GUIDE_URL)
    assert sign(GUIDE_SK, "get", url, headers, b"", "20191115T033655Z") == (
        "content-type;host;x-sdk-date",
        GUIDE_SIGNATURE,
    )


@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    path=st.lists(parts, max_size=4),
    query=st.dictionaries(words.filter(bool), words, max_size=4),
    body=st.binary(max_size=40),
    project=st.none() | st.text(string.hexdigits, min_size=1, max_size=32),
    token=st.none() | st.just("ggpj-the-token"),
    port=st.sampled_from(["", ":8443"]),
)
def test_any_request_is_signed_as_the_official_sdk_signs_it(
    method: str,
    path: list[str],
    query: dict[str, str],
    body: bytes,
    project: str | None,
    token: str | None,
    port: str,
) -> None:
    url = httpx.URL(f"https://vbs.test{port}/", params=query or None).copy_with(
        path="/" + "/".join(path)
    )
    signer = Signer(
        AccessKey(ak=KEY.ak, sk=GUIDE_SK, security_token=token),
        ServerClock(),
        lambda: NOW,
        where="cloud 'x'",
    )
    signer.project_id = project
    ours = {
        name.decode(): value.decode() for name, value in signer.prove(method, url, body).headers
    }
    mine = ours.pop("Authorization")
    assert mine == official(method, url, query, {**ours, "Host": f"vbs.test{port}"}, body)


def official(
    method: str, url: httpx.URL, query: dict[str, str], headers: dict[str, str], body: bytes
) -> str:
    """What huaweicloudsdkcore puts into `Authorization`."""
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer as OfficialSigner

    class Key:
        ak, sk = KEY.ak, GUIDE_SK

    request: Any = SdkRequest(
        method=method,
        schema=url.scheme,
        host=headers["Host"],
        resource_path=url.path,
        query_params=list(query.items()),
        header_params=headers,
        body=body,
    )
    return str(OfficialSigner(Key).sign(request).header_params["Authorization"])


class Gate:
    """A gateway whose clock is `ahead` of ours, and a service that signs for it."""

    def __init__(self, *, ahead: float = 0.0, key: AccessKey = KEY, dated: bool = True) -> None:
        self.clock = Clock()
        self.ahead = ahead
        self.dated = dated
        self.lets_in = True
        self.requests: list[httpx.Request] = []
        clock = ServerClock()
        self.signer = Signer(key, clock, self.clock.now, where="cloud 'x'")
        self.session = Session(
            self.signer,
            Timeouts(),
            transport=lambda: httpx.MockTransport(self.reply),
            now=self.clock.now,
            clock=clock,
        )
        endpoints = Endpoints(
            project_id=PROJECT, vbs="https://vbs.test", block_storage="https://evs.test"
        )
        self.service = VbsService(self.session, endpoints)

    def reply(self, request: httpx.Request) -> httpx.Response:
        from datetime import UTC, datetime
        from email.utils import formatdate

        self.requests.append(request)
        here = self.clock.at + self.ahead
        dated = {"Date": formatdate(int(here), usegmt=True)} if self.dated else {}
        at = datetime.strptime(request.headers["X-Sdk-Date"], "%Y%m%dT%H%M%SZ")
        late = abs(at.replace(tzinfo=UTC).timestamp() - here) > 900
        if late or not self.lets_in:
            return answer(401, REFUSAL, **dated)
        if request.method == "POST":
            return answer(200, {"job_id": "j1"}, **dated)
        return answer(200, {"quotas": {"resources": []}}, **dated)

    def dates(self) -> list[str]:
        return [request.headers["X-Sdk-Date"] for request in self.requests]


async def test_a_request_is_signed_when_it_leaves_not_when_it_was_readied() -> None:
    gate = Gate()
    await gate.service.ready()
    gate.clock.at += 3600
    assert (await gate.service.create(a_job(), 0)).cloud_job_id == "j1"
    assert gate.dates() == ["20260101T010000Z"]
    assert "X-Auth-Token" not in gate.requests[0].headers


async def test_a_temporary_key_sends_its_security_token_and_signs_it() -> None:
    gate = Gate(key=TEMPORARY)
    await gate.service.create(a_job(), 0)
    (request,) = gate.requests
    assert request.headers["X-Security-Token"] == "ggpj-the-token"
    assert "x-security-token" in request.headers["Authorization"]


@pytest.mark.parametrize("ahead", [-7200.0, 1200.0])
async def test_a_wrong_clock_of_ours_is_put_right_by_the_servers(ahead: float) -> None:
    gate = Gate(ahead=ahead)
    assert await gate.service.quota() == ()
    assert len(gate.requests) == 2
    await gate.service.quota()
    assert len(gate.requests) == 3


async def test_a_create_refused_for_its_time_may_be_sent_again() -> None:
    gate = Gate(ahead=7200.0)
    sent_at = gate.clock.at
    assert (await gate.service.create(a_job(), 0)).status == 401
    await gate.service.renew_token(sent_at)
    gate.clock.at += 1
    assert (await gate.service.create(a_job(), 0)).status == 200
    await gate.service.renew_token(sent_at)  # another worker's, of before the correction
    gate.lets_in = False
    gate.clock.at += 1
    assert (await gate.service.create(a_job(), 0)).status == 401
    with pytest.raises(SignInError):
        await gate.service.renew_token(gate.clock.at)


async def test_a_refused_key_is_at_its_end_and_says_what_the_gateway_says() -> None:
    gate = Gate()
    gate.lets_in = False
    with pytest.raises(CloudRefused) as caught:
        await gate.service.quota()
    assert caught.value.status == 401
    text = str(caught.value)
    assert text.startswith(f"cloud 'x': the access key {KEY.ak} was refused (APIG.0301 verify aksk")
    assert "clock" not in text
    assert len(gate.requests) == 1, "a gateway locks a key that is refused often"


async def test_a_refusal_that_is_not_the_gateways_is_no_word_on_the_key() -> None:
    """`VolumeBackup.0008` comes with 400: for a token it means a new one, for a key once more."""
    gate = Gate()
    sent_at = gate.clock.at
    assert (await gate.service.create(a_job(), 0)).status == 200
    await gate.service.renew_token(sent_at)
    gate.lets_in = False
    gate.clock.at += 1
    assert (await gate.service.create(a_job(), 0)).status == 401
    with pytest.raises(SignInError):
        await gate.service.renew_token(gate.clock.at)


async def test_where_the_server_tells_no_time_our_clock_is_named_as_a_reason() -> None:
    gate = Gate(ahead=7200.0, dated=False)
    with pytest.raises(CloudRefused, match="this machine's clock"):
        await gate.service.quota()


async def test_a_temporary_key_that_is_refused_may_have_expired() -> None:
    gate = Gate(key=TEMPORARY)
    gate.lets_in = False
    with pytest.raises(CloudRefused, match="has not expired"):
        await gate.service.quota()


async def test_no_secret_of_a_key_is_shown_or_comes_back_from_an_echo() -> None:
    gate = Gate(key=TEMPORARY)
    proof = gate.signer.prove("GET", httpx.URL("https://vbs.test/"), b"")
    signature = proof.secrets[0].decode()
    for shown in (repr(TEMPORARY), repr(proof), repr(gate.signer)):
        assert not [s for s in (GUIDE_SK, "ggpj-the-token", signature) if s in shown]

    def echo(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, content=str(request.headers.raw).encode())

    session = Session(
        gate.signer,
        Timeouts(),
        transport=lambda: httpx.MockTransport(echo),
        now=gate.clock.now,
    )
    reply = await session.read("GET", httpx.URL("https://vbs.test/"))
    assert KEY.ak.encode() in reply.body
    assert b"Signature=***" in reply.body
    assert b"ggpj-the-token" not in reply.body
