"""Waves, groups, caps and a window, from the command line to a simulated cloud."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cli.clouds import Cloud
from tests.cli.harness import FAST, Harness, told, until

MISSING = "11111111-2222-3333-4444-555555555555"


def write_waves(harness: Harness, cloud: Cloud, **changes: Any) -> None:
    """A canary of a volume that exists and one that does not, then eight more of two servers."""
    ids = [volume["ID"] for volume in cloud.volumes()]
    volumes: list[dict[str, Any]] = [
        {"id": MISSING, "name": "ghost", "wave": "canary"},
        {"id": ids[0], "name": "first", "wave": "canary"},
        *({"id": one, "group": f"server{n % 2}", "az": "a"} for n, one in enumerate(ids[1:])),
    ]
    harness.write_plan(
        waves=[{"name": "canary"}, {"name": "rest"}],
        volumes=volumes,
        volumes_from=None,
        **changes,
    )


def test_a_gate_closed_by_failures_is_shown_and_can_be_opened(harness: Harness) -> None:
    cloud = harness.cloud(FAST, volumes=9)
    write_waves(harness, cloud, limits={"per_group": 1, "per_az": {"a": 2}})
    checked = harness("check", "plan.yaml").stdout
    assert "waves: canary 2, rest 8 volumes; failures allowed: 0 after canary" in checked
    assert "groups: 2, at most 1 in flight of each" in checked
    assert "zones: a at most 2 in flight" in checked
    engine = harness.start("run", "plan.yaml", "--no-preflight")
    until(lambda: any(run["state"] == "paused" for run in harness.runs()))
    shown = harness("status").stdout
    assert "wave canary ended with 1 failed, 0 are allowed: wave rest waits" in shown
    assert "canary 2/2 (1 failed), rest 0/8 waits" in shown
    assert "vbsbatch unpause " in shown
    assert cloud.creates() == 2
    assert harness("unpause", "latest").stdout == "continuing with wave rest\n"
    done = harness.finish(engine, 1)
    (end,) = told(done, "end")
    assert end.startswith("partial ok=9 fail=1")
    assert any(line.startswith("paused: wave canary") for line in told(done, "run"))


def test_outside_its_window_a_run_shows_when_the_window_opens_and_stops_cleanly(
    harness: Harness,
) -> None:
    cloud = harness.cloud(FAST, volumes=9)
    opens = datetime.now(UTC) + timedelta(hours=5)
    window = {
        "from": f"{opens:%H:%M}",
        "to": f"{opens + timedelta(hours=1):%H:%M}",
        "timezone": "UTC",
    }
    harness.write_plan(window=window, deadline="1h")
    assert "deadline passes before the window opens" in harness("check", "plan.yaml").stdout
    harness.write_plan(window=window)
    assert f"now closed, opens {opens:%a %d %b %H:%M} UTC" in harness("check", "plan.yaml").stdout
    engine = harness.start("run", "plan.yaml")
    until(lambda: any(run["reason"] for run in harness.runs()))
    assert f"window opens {opens:%a %d %b %H:%M} UTC" in harness("status").stdout
    harness("stop", "latest")
    done = harness.finish(engine, 3)
    assert f"window opens {opens:%a %d %b %H:%M} UTC" in told(done, "run")[0]
    assert cloud.creates() == 0
