"""Tokens that live for twenty seconds, in a run that takes longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from tests.openstack.cloud import RealCloud
from tests.openstack.scenarios.night import Night

LIFE = 20


@contextmanager
def short_lived_tokens(cloud: RealCloud) -> Iterator[None]:
    """The official client cannot work with them: it renews a token 30 s before its end."""
    cloud.live_tokens_for(LIFE)
    try:
        yield
    finally:
        cloud.live_tokens_for(3600)


def test_tokens_of_twenty_seconds_are_renewed_in_mid_run_and_cost_no_attempt(
    cloud: RealCloud, night: Night
) -> None:
    fleet = night.fleet("tokens", 25)
    night.write_real_plan(limits={"rate": "25/50s"}, retry={"attempts": 1})
    with short_lived_tokens(cloud):
        night("run", "plan.yaml")
    started, ended = (
        datetime.fromisoformat(night.runs()[0][at]) for at in ("started_at", "ended_at")
    )
    assert (ended - started).total_seconds() > 2 * LIFE, "it outlived its tokens"
    night.assert_each_once(fleet)
