"""The registry of backup services: a service is its class and one line, and nothing else asks which
one it is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

import vbsbatch
from vbsbatch.cloud import CloudChoice, connect
from vbsbatch.cloud.endpoints import EndpointKind
from vbsbatch.cloud.service import CloudService, Found, Question
from vbsbatch.cloud.services import SERVICES, facts_of, service_class
from vbsbatch.errors import SignInError
from vbsbatch.model import Job, Quota, Service, ServiceFacts, Timeouts
from vbsbatch.plan.schema import CINDER_SETTLE
from vbsbatch.policy.codes import TABLES
from vbsbatch.simulator.services import SERVICES as SIMULATED

from ..fake_keystone import FakeKeystone, running
from ..fixtures import PASSWORD, PROJECT, a_job, answer

pytestmark = pytest.mark.anyio
PACKAGE = Path(vbsbatch.__file__).parent


class MadeUp(StrEnum):
    NIMBUS = "nimbus"


NIMBUS = cast("Service", MadeUp.NIMBUS)


class NimbusService(CloudService):
    facts = ServiceFacts(service=NIMBUS, label="Nimbus", settle=7.0)
    endpoint_kind = EndpointKind(name="nimbus", types=("nimbus",), option="--nimbus-endpoint")
    described = "nimbus"
    creates = "/clouds"
    version = "v9"

    @staticmethod
    def create_body(job: Job) -> dict[str, Any]:
        return {"disk": job.volume_id}

    def offer_checks(self, found: Found, *, wanted: bool) -> Sequence[Question]:
        return (self.answers,) if found.is_named(self.endpoint_kind) else (self.no,)

    async def answers(self) -> bool:
        return await self._answers("GET", self._create_url)

    async def no(self) -> bool:
        return False

    async def quota(self) -> tuple[Quota, ...]:
        return ()


@pytest.fixture
def _nimbus() -> Iterator[None]:
    SERVICES.append(NimbusService)
    yield
    SERVICES.remove(NimbusService)


@pytest.fixture
def keystone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeKeystone]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with running() as server:
        for name, value in {
            "AUTH_URL": server.url + "/v3", "USERNAME": "backup", "PASSWORD": PASSWORD,
            "PROJECT_NAME": "prod", "USER_DOMAIN_NAME": "Default", "REGION_NAME": "eu-de",
            "PROJECT_DOMAIN_NAME": "Default",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"OS_{name}", value)
        server.offer("volumev3", f"https://evs.test/v3/{PROJECT}")
        yield server


class Wire:
    """Answers by the last word of the path, and keeps the requests."""

    def __init__(self, **replies: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self.replies = replies

    def __call__(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.reply)

    def reply(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.replies.get(request.url.path.split("/")[-1], answer(404, b"<html>"))


@pytest.mark.usefixtures("_nimbus")
@pytest.mark.parametrize("wanted", [NIMBUS, None], ids=["named", "found"])
async def test_a_service_that_is_in_the_registry_is_chosen_and_makes_backups(
    keystone: FakeKeystone, wanted: Service | None
) -> None:
    keystone.offer("nimbus", f"https://nimbus.test/v9/{PROJECT}")
    wire = Wire(clouds=answer(200, {"job_id": "n1"}))
    choice = CloudChoice(service=wanted)
    async with connect(choice, timeouts=Timeouts(connect=1, read=1), transport=wire) as service:
        assert isinstance(service, NimbusService)
        assert service.endpoint == "https://nimbus.test"
        assert (await service.create(a_job(), 0)).cloud_job_id == "n1"
    sent = wire.requests[-1]
    assert str(sent.url) == f"https://nimbus.test/v9/{PROJECT}/clouds"
    assert json.loads(sent.content) == {"backup": {"disk": a_job().volume_id}}


@pytest.mark.usefixtures("_nimbus")
async def test_a_cloud_without_the_service_is_refused_with_the_names_of_its_class(
    keystone: FakeKeystone,
) -> None:
    choice = CloudChoice(service=NIMBUS)
    with pytest.raises(SignInError, match="the catalog has no nimbus") as caught:
        async with connect(choice, timeouts=Timeouts(connect=1, read=1), transport=Wire()):
            pass
    assert "nimbus_endpoint_override" in str(caught.value)


@pytest.mark.usefixtures("_nimbus")
async def test_the_services_before_it_in_the_registry_win_where_nothing_is_named(
    keystone: FakeKeystone,
) -> None:
    keystone.offer("nimbus", "https://nimbus.test")
    keystone.offer("vbs", "https://vbs.test")
    async with connect(CloudChoice(), transport=Wire()) as service:
        assert service.facts.service is Service.VBS


def test_every_word_of_plans_is_in_both_registries_and_has_its_codes() -> None:
    assert {each.facts.service for each in SERVICES} == set(Service)
    assert [str(each.name) for each in SIMULATED] == [str(each.facts.service) for each in SERVICES]
    assert len(TABLES) == len(SERVICES)
    for service in Service:
        assert facts_of(service) is service_class(service).facts
    assert sum(each.facts.usual for each in SERVICES) == 1


def test_the_reference_of_plans_tells_the_settle_of_cbr_and_cinder() -> None:
    for service in (Service.CBR, Service.CINDER):
        assert f"{facts_of(service).settle / 60:g}m" == CINDER_SETTLE


def test_the_facts_of_a_service_cost_no_import_of_the_network() -> None:
    code = (
        "import sys, vbsbatch.cloud.services\n"
        "print([m for m in ('httpx', 'anyio', 'ssl', 'pydantic') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


_BRANCH = re.compile(
    r"Services?\.(?:VBS|CBR|CINDER)\b|\bCINDER\b|\b(?:on|is)_(?:vbs|cbr|cinder)\b"
    r"|VbsService|CbrService|CinderService"
    r"|(?:vbs|cbr)_endpoint\s+or\b|\bor\s+\S*block_storage_endpoint"
    r"|\bservice\w*(?:\.value|\.name)?\s*(?:==|!=|in|not in)\s*[\[({]?[\"'](?:vbs|cbr|cinder)"
)
_THEIR_OWN = ("cloud/services/", "simulator/services/")
_WORDS = {
    "model/settings.py": {'CBR = "cbr"', 'CINDER = "cinder"', "service: Service = Service.VBS"},
    "simulator/scenario.py": {
        'CBR = "cbr"',
        'CINDER = "cinder"',
        "services: Services = Services.VBS",
    },
    "simulator/faults.py": {"services: Services = Services.VBS"},
}
"""The words of plans, stores and faults files, and what they mean where none is said."""


def test_nothing_outside_the_services_asks_which_service_it_is() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith(_THEIR_OWN):
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if _BRANCH.search(line) and line.strip() not in _WORDS.get(name, ()):
                found.append(f"{name}:{number}: {line.strip()}")
    assert found == []
