"""Which key is used: the entry's before the environment's, and a password before a stray key."""

from __future__ import annotations

from typing import Any

import pytest

from vbsbatch.cloud.access_keys import find_key
from vbsbatch.errors import SignInError

SECRET = "sk-of-the-user"
OWN = {"ak": "AK", "sk": SECRET}
PASSWORD = {"username": "u", "password": "p"}
HUAWEI = {"HUAWEICLOUD_SDK_AK": "HW", "HUAWEICLOUD_SDK_SK": "hw-secret"}
OPENSTACK = {"OS_ACCESS_KEY": "OS", "OS_SECRET_KEY": "os-secret"}


def found(environment: dict[str, str] | None = None, **config: Any) -> str | None:
    """The access key that is chosen."""
    key = find_key({"auth_type": "password", **config}, environment or {}, "cloud 'x'")
    return key.ak if key else None


@pytest.mark.parametrize("ak", ["ak", "access_key"])
@pytest.mark.parametrize("sk", ["sk", "secret_key"])
def test_a_key_under_auth_is_used_in_either_spelling(ak: str, sk: str) -> None:
    assert found(auth={ak: "AK", sk: SECRET}) == "AK"


def test_a_key_beside_auth_counts_where_nobody_signs_in() -> None:
    assert found(auth={"project_id": "p"}, access_key="AK", secret_key=SECRET) == "AK"
    assert found(auth=PASSWORD, access_key="AK", secret_key=SECRET) is None, "it is for OBS"
    assert found(username="u", password="p", access_key="AK", secret_key=SECRET) is None


def test_the_environment_counts_where_the_entry_names_nobody() -> None:
    assert found(HUAWEI, auth={}) == "HW"
    assert found(OPENSTACK | HUAWEI, auth={}) == "OS"
    assert found(HUAWEI, auth=OWN) == "AK"
    assert found(HUAWEI, auth=PASSWORD) is None
    assert found(HUAWEI, auth={"username": "u"}) is None
    assert found(HUAWEI, auth={"token": "t"}) is None
    assert found(HUAWEI, auth_type="v3oidcclientcredentials", auth={}) is None
    assert found(auth={}) is None


def test_auth_type_aksk_chooses_a_key_whatever_else_there_is() -> None:
    both = {**PASSWORD, **OWN}
    assert found(auth_type="aksk", auth=both) == "AK"
    assert found(auth_type="aksk", auth=PASSWORD, ak="AK", sk=SECRET) == "AK"
    assert found(HUAWEI, auth_type="aksk", auth=PASSWORD) == "HW"
    with pytest.raises(SignInError, match="no access key: set ak and sk"):
        found(auth_type="aksk", auth=PASSWORD)


@pytest.mark.parametrize(
    "other", [PASSWORD, {"token": "t"}, {"application_credential_secret": "s"}]
)
def test_a_key_and_a_password_in_one_auth_are_a_conflict(other: dict[str, str]) -> None:
    with pytest.raises(SignInError, match="remove one, or set auth_type: aksk") as caught:
        found(auth={**OWN, **other})
    assert SECRET not in str(caught.value)


def test_half_a_key_is_reported_by_its_missing_half() -> None:
    with pytest.raises(
        SignInError, match="cloud 'x': auth: the access key is incomplete: sk is missing"
    ):
        found(auth={"ak": "AK"})
    with pytest.raises(
        SignInError, match="environment: the access key is incomplete: OS_ACCESS_KEY is"
    ):
        found({"OS_SECRET_KEY": SECRET} | HUAWEI, auth={})


def test_a_temporary_key_brings_its_security_token_from_the_same_place() -> None:
    own = find_key({"auth": {**OWN, "security_token": "t"}}, {"OS_SECURITY_TOKEN": "no"}, "x")
    assert own is not None
    assert own.security_token == "t"
    environment = HUAWEI | {"HUAWEICLOUD_SDK_SECURITY_TOKEN": "h", "OS_SECURITY_TOKEN": "no"}
    other = find_key({"auth": {}}, environment, "x")
    assert other is not None
    assert other.security_token == "h"


def test_blanks_around_a_key_are_cut_and_others_are_reported_without_showing_it() -> None:
    key = find_key({"auth": {"ak": " AK ", "sk": f"{SECRET}\n"}}, {}, "x")
    assert key is not None
    assert (key.ak, key.sk) == ("AK", SECRET)
    for bad in ("sk with blanks", "sk-\u00fc", "sk-\x1b[31m"):
        with pytest.raises(SignInError, match="sk contains characters") as caught:
            find_key({"auth": {"ak": "AK", "sk": bad}}, {}, "x")
        assert bad not in str(caught.value)
    assert find_key({"auth": {"ak": "", "sk": None}}, {}, "x") is None
    assert (find_key({"auth": {"ak": 1234, "sk": 5678}}, {}, "x") or key).ak == "1234"
