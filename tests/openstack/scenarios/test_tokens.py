"""Tokens that live for twenty seconds, in a run that takes longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.openstack.cloud import RealCloud
from tests.openstack.scenarios.night import Night

LIFE = 20


@pytest.fixture
def short_lived(cloud: RealCloud) -> Iterator[None]:
    cloud.live_tokens_for(LIFE)
    yield
    cloud.live_tokens_for(3600)


@pytest.mark.usefixtures("short_lived")
def test_tokens_of_twenty_seconds_are_renewed_in_mid_run_and_cost_no_attempt(night: Night) -> None:
    fleet = night.fleet("tokens", 26)
    night.write_real_plan(limits={"rate": "26/52s"}, retry={"attempts": 1})
    night("run", "plan.yaml")
    run = night.runs()[0]
    assert run["ended_at"] - run["started_at"] > 2 * LIFE, "it outlived its tokens"
    night.assert_each_once(fleet)
