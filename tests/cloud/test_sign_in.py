"""Signing in: the endpoints it finds, the errors it reports, and how long it lasts."""

# ruff: noqa: F811 - fixtures of another module, by name

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from vbsbatch.cloud import CloudChoice, connect
from vbsbatch.cloud.sign_in_faults import translated
from vbsbatch.cloud.tokens import Token
from vbsbatch.errors import SignInError
from vbsbatch.model import Elapsed

from .fake_keystone import PASSCODE, FakeKeystone
from .fixtures import PASSWORD, PROJECT
from .test_connect import (  # noqa: F401 (fixtures)
    SOON,
    Clouds,
    Wire,
    clouds,
    keystone,
    no_configuration,
    refused,
    signed_in,
)

pytestmark = pytest.mark.anyio

LATER = "2999-01-01T00:00:00.000000Z"


# Where it leads


async def test_the_place_is_known_to_the_last_part(keystone: FakeKeystone, clouds: Clouds) -> None:
    clouds.write(keystone)
    place = (await signed_in(CloudChoice())).place
    assert str(place) == f"cloud otc, region eu-de, project prod ({PROJECT}), https://vbs.test"


async def test_a_region_that_nobody_named_is_that_of_the_endpoint(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone, region_name=None)
    assert (await signed_in(CloudChoice())).region == "eu-de"


@pytest.mark.parametrize(
    ("entry", "environment", "root"),
    [
        ({}, {}, "https://vbs.test"),
        ({"region_name": "eu-nl"}, {}, "https://nl.test"),
        ({"regions": ["eu-de", "eu-nl"], "region_name": None}, {"REGION_NAME": "eu-nl"},
         "https://nl.test"),
        ({"region_name": None}, {"REGION_NAME": "eu-nl"}, "https://nl.test"),
        ({"interface": "internal"}, {}, "https://inside.test"),
        ({"interface": "internalURL"}, {}, "https://inside.test"),
        ({"interface": ["admin", "internal", "public"]}, {}, "https://inside.test"),
        ({}, {"INTERFACE": "internal"}, "https://inside.test"),
        ({"vbs_interface": "internal"}, {}, "https://inside.test"),
        ({"vbs_region_name": "eu-nl"}, {}, "https://nl.test"),
    ],
)  # fmt: skip
async def test_region_and_interface_choose_the_endpoint(
    keystone: FakeKeystone,
    clouds: Clouds,
    monkeypatch: pytest.MonkeyPatch,
    entry: dict[str, Any],
    environment: dict[str, str],
    root: str,
) -> None:
    keystone.offer("vbs", "https://nl.test/v2", "eu-nl")
    keystone.offer("vbs", "https://inside.test/v2", interface="internal")
    clouds.write(keystone, **entry)
    for name, value in environment.items():
        monkeypatch.setenv(f"OS_{name}", value)
    assert (await signed_in(CloudChoice(cloud="otc"))).endpoint == root


async def test_the_project_of_the_environment_is_asked_for(
    keystone: FakeKeystone, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds.write(keystone)
    monkeypatch.setenv("OS_PROJECT_NAME", "other")
    monkeypatch.setenv("OS_PROJECT_DOMAIN_NAME", "Elsewhere")
    await signed_in(CloudChoice(cloud="otc"))
    scope = keystone.posted[-1]["auth"]["scope"]["project"]
    assert scope == {"name": "other", "domain": {"name": "Elsewhere"}}


@pytest.mark.parametrize(
    ("entry", "environment", "says"),
    [
        ({"region_name": "eu-dd"}, {}, "nothing in region 'eu-dd', only in eu-de, eu-nl; did you"
         " mean 'eu-de'?"),
        ({"region_name": "EU-NL"}, {}, "did you mean 'eu-nl'?"),
        ({"regions": ["eu-de", "eu-nl"], "region_name": None}, {"OS_REGION_NAME": "eu-n"},
         "no region 'eu-n' in its entry in clouds.yaml, only eu-de,eu-nl; did you mean 'eu-nl'?"),
        ({"interface": "internal"}, {}, "nothing with interface internal, only public"),
    ],
)  # fmt: skip
async def test_a_region_or_interface_that_is_not_there_is_named_with_what_is(
    keystone: FakeKeystone,
    clouds: Clouds,
    monkeypatch: pytest.MonkeyPatch,
    entry: dict[str, Any],
    environment: dict[str, str],
    says: str,
) -> None:
    keystone.offer("vbs", "https://nl.test/v2", "eu-nl")
    clouds.write(keystone, **entry)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert says in await refused(CloudChoice(cloud="otc"))


@pytest.mark.parametrize("catalog", [None, [], [{"type": "vbs", "endpoints": None}]])
async def test_an_empty_catalog_is_reported_as_such(
    keystone: FakeKeystone, clouds: Clouds, catalog: Any
) -> None:
    keystone.odd = {"catalog": catalog}
    clouds.write(keystone)
    assert "the catalog has no volume backup service" in await refused()


async def test_sign_in_and_service_use_the_same_proxies(
    keystone: FakeKeystone, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign-in library alone would take the proxy for an address with a port."""
    clouds.write(keystone)
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", f"127.0.0.1:{httpx.URL(keystone.url).port}")
    await signed_in(CloudChoice())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1:1")
    assert "the proxy is down" in await refused()


# What is said


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "Application credentials cannot request a scope."),
        (401, "The password is expired and needs to be changed for user: 4711."),
        (401, "The account is locked for user: 4711."),
        (401, "mfa totp code verify fail"),
        (403, "You are not authorized to use this project"),
        (400, "Expecting to find domain in user."),
    ],
)
async def test_the_identity_services_own_words_are_passed_on(
    keystone: FakeKeystone, clouds: Clouds, status: int, words: str
) -> None:
    keystone.says = (status, {"error": {"code": status, "message": words}}, {})
    clouds.write(keystone)
    text = await refused()
    assert words.rstrip(".") in text
    assert f"({status})" in text


async def test_words_that_say_nothing_are_left_out(keystone: FakeKeystone, clouds: Clouds) -> None:
    usual = "The request you have made requires authentication."
    keystone.says = (401, {"error": {"code": 401, "message": usual}}, {})
    clouds.write(keystone)
    assert "(401): check user, password, project" in await refused()


async def test_words_are_cleaned_and_lose_their_secrets_before_they_are_cut(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    hostile = "\x1b]0;owned\x07\u202e" + "x" * 180 + f" {PASSWORD} " * 9
    keystone.says = (401, {"error": {"code": 401, "message": hostile}}, {})
    clouds.write(keystone)
    text = await refused()
    assert text.isprintable()
    assert len(text) < 500
    assert PASSWORD[:6] not in text


@pytest.mark.parametrize("password", ["pw-71", 'p"w/&-71'])
def test_no_part_of_a_secret_is_shown_where_words_are_cut(password: str) -> None:
    from keystoneauth1.exceptions import ClientException, MissingAuthMethods

    def lacking(said: str) -> Exception:
        wanted = {"receipt": {"methods": [], "expires_at": LATER}, "required_auth_methods": said}
        missing: Exception = MissingAuthMethods(httpx.Response(401, json=wanted))
        return missing

    for spelt in (password, json.dumps(password)[1:-1], quote(password, safe="")):
        for most, raised in ((200, lacking), (300, ClientException)):
            for cut in range(1, len(spelt) + 1):
                said = f"{'x' * (most - 1 - cut)} {spelt} {spelt}"
                text = str(translated(raised(said), "cloud", {password}, renewing=False))
                assert "xxx" in text
                assert spelt[:2] not in text


async def test_a_short_secret_that_is_repeated_is_removed_too(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    clouds.write(keystone, auth={"password": "pw7"})
    text = await refused()
    assert '"password": ***' in text
    assert "pw7" not in text


async def test_a_missing_factor_is_named(keystone: FakeKeystone, clouds: Clouds) -> None:
    receipt = {"methods": ["password"], "expires_at": LATER}
    wanted = {"receipt": receipt, "required_auth_methods": [["password", "totp"]]}
    keystone.says = (401, wanted, {"Openstack-Auth-Receipt": "r"})
    clouds.write(keystone)
    text = await refused()
    assert "another factor is missing; required: [['password', 'totp']]" in text
    assert "v3multifactor" in text


# How long it lasts


async def token_of(service: Any) -> Token:
    found: Token = await service._session.credentials.token()
    return found


@pytest.mark.parametrize(
    "odd",
    [
        {"expires_at": None},
        {"expires_at": ...},
        {"expires_at": ..., "issued_at": ...},
        {"expires_at": "soon"},
        {"expires_at": 12},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": LATER},
        {"issued_at": "1970-01-01T00:00:00Z"},
    ],
)
async def test_a_token_without_a_usable_end_is_a_short_lived_one(
    keystone: FakeKeystone, clouds: Clouds, odd: dict[str, Any]
) -> None:
    keystone.odd = odd
    clouds.write(keystone)
    async with connect(CloudChoice(), timeouts=SOON, transport=Wire()) as service:
        token = await token_of(service)
        assert token.expires_at - time.time() == pytest.approx(600, abs=10)
        assert not token.end_told
        for _ in range(3):
            await service.ready()
    assert keystone.tokens == 1, "nobody signs in for each request"


@pytest.mark.parametrize(
    "form", ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.000+0000"]
)
async def test_an_end_in_another_form_counts(
    keystone: FakeKeystone, clouds: Clouds, form: str
) -> None:
    ends = time.strftime(form, time.gmtime(time.time() + 1800))
    keystone.odd = {"expires_at": ends, "issued_at": ...}
    clouds.write(keystone)
    async with connect(CloudChoice(), timeouts=SOON, transport=Wire()) as service:
        assert (await token_of(service)).expires_at - time.time() == pytest.approx(1800, abs=10)


def with_passcode(clouds: Clouds, keystone: FakeKeystone) -> None:
    auth = {
        "auth_url": f"{keystone.url}/v3", "username": "backup", "passcode": PASSCODE,
        "user_domain_name": "Default", "project_name": "prod", "project_domain_name": "Default",
    }  # fmt: skip
    clouds.put({"otc": {"auth_type": "v3totp", "region_name": "eu-de", "auth": auth}})


async def test_a_one_time_passcode_is_used_once_and_its_end_is_known(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    with_passcode(clouds, keystone)
    clock = [time.time()]
    async with connect(
        CloudChoice(), timeouts=SOON, transport=Wire(), now=lambda: clock[0]
    ) as service:
        assert service.ends is not None
        assert service.ends.signed_in_with == "a one-time passcode"
        assert service.ends.at == pytest.approx(clock[0] + 3600, abs=10)
        clock[0] += 3590
        await service.ready()
        assert len(keystone.posted) == 1, "nothing is tried ahead of the end"
        clock[0] += 20
        with pytest.raises(SignInError, match="cannot be used twice"):
            await service.ready()
        with pytest.raises(SignInError, match="cannot be used twice"):
            await service.renew_token(Elapsed(clock[0]))
    assert len(keystone.posted) == 1


async def test_a_passcode_whose_token_has_no_end_is_used_until_it_is_refused(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    keystone.odd = {"expires_at": None}
    with_passcode(clouds, keystone)
    clock = [time.time()]
    async with connect(
        CloudChoice(), timeouts=SOON, transport=Wire(), now=lambda: clock[0]
    ) as service:
        assert service.ends is not None
        assert service.ends.at is None
        clock[0] += 1e6
        await service.ready()
    assert len(keystone.posted) == 1


async def test_a_plain_token_cannot_be_renewed_either(
    keystone: FakeKeystone, clouds: Clouds
) -> None:
    auth = {"auth_url": f"{keystone.url}/v3", "token": PASSWORD, "project_name": "prod",
            "project_domain_name": "Default"}  # fmt: skip
    clouds.put({"otc": {"auth_type": "v3token", "region_name": "eu-de", "auth": auth}})
    async with connect(CloudChoice(), timeouts=SOON, transport=Wire()) as service:
        assert service.ends is not None
        assert service.ends.signed_in_with == "a plain token"


async def test_a_password_can_be_renewed(keystone: FakeKeystone, clouds: Clouds) -> None:
    clouds.write(keystone)
    assert (await signed_in(CloudChoice())).ends is None


async def test_a_user_without_a_home_folder_signs_in(
    keystone: FakeKeystone, clouds: Clouds, monkeypatch: pytest.MonkeyPatch
) -> None:
    clouds.write(keystone)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.delenv("HOME", raising=False)
    assert (await signed_in(CloudChoice())).project_id == PROJECT
