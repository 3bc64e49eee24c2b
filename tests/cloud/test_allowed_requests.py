"""No code can send what destroys backups of others: only listed requests leave the transport."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.cloud.endpoints import Endpoints
from vbsbatch.cloud.services import SERVICES
from vbsbatch.cloud.session import ForbiddenRequestError

from .fixtures import PROJECT, Bench, answer

pytestmark = pytest.mark.anyio

ROOTS = {"vbs": "https://v.test", "cbr": "https://c.test", "block_storage": "https://b.test"}
METHODS = ("POST", "PUT", "PATCH", "DELETE")
DESTROYING = ("removeresources", "migrateresources", "set-resources", "dissociatepolicy")


def bench() -> Bench:
    """A session on which every service of the registry works."""
    found = Bench(lambda _: answer(200, {}))
    for service in SERVICES:
        service(found.session, Endpoints(project_id=PROJECT, roots=ROOTS))
    return found


async def send(found: Bench, method: str, url: str) -> None:
    await found.session.read(method, url, b"{}")
    await found.session.create(0, url, b"{}", method=method)


@pytest.mark.parametrize("root", sorted(ROOTS.values()))
@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
async def test_no_vault_is_deleted_changed_or_made_and_no_disk_leaves_one(
    root: str, version: str
) -> None:
    found = bench()
    vaults = f"{root}/{version}/{PROJECT}/vaults"
    forbidden = [(method, vaults) for method in METHODS]
    forbidden += [(method, f"{vaults}/some-id") for method in METHODS]
    forbidden += [(method, f"{vaults}/some-id/{word}") for method in METHODS for word in DESTROYING]
    forbidden += [("DELETE", f"{vaults}/some-id/addresources"), ("POST", f"{vaults}/a/b/c")]
    for method, url in forbidden:
        for address in (url, url + "/", url + "?x=1", url + "#x"):
            with pytest.raises(ForbiddenRequestError, match="not among the allowed requests"):
                await send(found, method, address)
    assert found.requests == []


_WORDS = st.sampled_from(
    ["vaults", "some-id", "removeresources", "backups", "policies", "checkpoints", "..", "%2e%2e"]
)


@given(
    method=st.sampled_from(METHODS),
    root=st.sampled_from(sorted(ROOTS.values())),
    words=st.lists(_WORDS, max_size=5),
)
async def test_whatever_address_is_made_up_a_vault_is_only_added_to(
    method: str, root: str, words: list[str]
) -> None:
    found = bench()
    url = "/".join([root, "v3", PROJECT, *words])
    try:
        await send(found, method, url)
    except ForbiddenRequestError:
        assert found.requests == []
    else:
        path = httpx.URL(url).path
        assert "vaults" not in path or (method, path[-13:]) == ("POST", "/addresources")


async def test_what_a_service_needs_is_allowed() -> None:
    found = bench()
    project = f"https://c.test/v3/{PROJECT}"
    await send(found, "POST", f"{project}/checkpoints")
    await send(found, "POST", f"{project}/vaults/some-id/addresources")
    await send(found, "POST", f"{project}/backups/some-id/restore")
    await send(found, "DELETE", f"{project}/backups/some-id")
    await send(found, "POST", f"https://v.test/v2/{PROJECT}/cloudbackups")
    assert len(found.requests) == 10
