"""How a faults file is read, and that all its mistakes are reported at once."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vbsbatch.errors import UsageError
from vbsbatch.simulator import (
    BackupScript,
    Do,
    Fault,
    GatewayLimit,
    Kind,
    Scenario,
    Services,
    SimQuota,
)
from vbsbatch.simulator.faults import load_scenario, read_scenario, write_scenario

EVERYTHING = """
backups: {duration: [4s, 8s], visible_after: 500ms, listed_after: [0s, 2s],
          fail: 0.02, fail_early: 0.01, fail_code: VolumeBackup.0062, delete: 3}
tokens: {life: 24h}
limit: {count: 50, per: 1m, retry_after: false, on: any}
latency: [5ms, 30ms]
services: both
clock_ahead: 90s
quota: {backups: 10, gigabytes: -1}
catalog: http://127.0.0.1:8801
faults:
  - {on: create, do: status, status: 503, code: VolumeBackup.0900, message: later, share: 0.05}
  - {on: any, do: refuse, between: [30s, 90s]}
  - {on: create, do: fail, volumes: [6BA7B8109DAD11D180B400C04FD430C8], first: 2, early: true}
  - {on: list, do: throttle, retry_after: 3, delay: 1s, after: false}
"""


def test_every_key_is_understood() -> None:
    assert read_scenario(EVERYTHING.encode(), "f") == Scenario(
        backups=BackupScript(
            duration=(4, 8),
            visible_after=(0.5, 0.5),
            listed_after=(0, 2),
            fail=0.02,
            fail_early=0.01,
            fail_code="VolumeBackup.0062",
            delete=(3, 3),
        ),
        token_life=86400,
        limit=GatewayLimit(count=50, per=60, retry_after=False, on=None),
        latency=(0.005, 0.03),
        services=Services.BOTH,
        clock_ahead=90,
        quota=SimQuota(backups=10),
        catalog="http://127.0.0.1:8801",
        faults=(
            Fault(
                on=Kind.CREATE,
                do=Do.STATUS,
                status=503,
                code="VolumeBackup.0900",
                message="later",
                share=0.05,
            ),
            Fault(on=None, do=Do.REFUSE, between=(30, 90)),
            Fault(
                on=Kind.CREATE,
                do=Do.FAIL,
                volumes=frozenset({"6ba7b810-9dad-11d1-80b4-00c04fd430c8"}),
                first=2,
                early=True,
            ),
            Fault(on=Kind.LIST, do=Do.THROTTLE, retry_after="3", delay=(1, 1), after=False),
        ),
    )


@pytest.mark.parametrize("content", [b"", b"# nothing", b"{}"])
def test_an_empty_file_is_the_usual_cloud(content: bytes) -> None:
    assert read_scenario(content, "f") == Scenario()


def test_what_is_written_is_read_back() -> None:
    scenario = read_scenario(EVERYTHING.encode(), "f")
    document = json.dumps(write_scenario(scenario)).encode()
    assert read_scenario(document, "f") == scenario
    assert read_scenario(json.dumps(write_scenario(Scenario())).encode(), "f") == Scenario()


def test_all_problems_are_told_at_once() -> None:
    wrong = b"""
backup: {}
latency: [9s, 5s]
tokens: {life: soon}
quota: {backups: -2}
faults: [{on: craete, do: explode, share: 2}, {do: hang, on: any, volumes: [db01]}]
"""
    with pytest.raises(UsageError) as caught:
        read_scenario(wrong, "f.yaml")
    problems = str(caught.value).splitlines()
    places = [problem.split(": ")[1] for problem in problems]
    assert all(problem.startswith("f.yaml: ") for problem in problems)
    assert sorted(places) == [
        "backup",
        "faults.0.do",
        "faults.0.on",
        "faults.0.share",
        "faults.1.volumes.0",
        "latency",
        "quota.backups",
        "tokens.life",
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"faults: [",
        b"!!python/object:os.system {}",
        b"\xff\xfe\xfa",
        b"a: \x00",
        b"[" * 2000,
        b"- 1",
        b"just words",
        b"x: 2026-99-99",
        b" " * (5 * 1024 * 1024),
    ],
)
def test_hostile_files_get_one_clear_error(content: bytes) -> None:
    with pytest.raises(UsageError, match=r"^f: [^\n]+$"):
        read_scenario(content, "f")


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    with suppress(UsageError):
        assert isinstance(read_scenario(content, "f"), Scenario)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_scenario(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="directory"):
        load_scenario(tmp_path)
