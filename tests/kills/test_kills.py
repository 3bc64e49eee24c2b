"""Promise 2, for real: the engine is killed twenty times in one run, and nothing shows."""

from __future__ import annotations

import subprocess
import time
from random import Random

from tests.cli.stage import Cloud, Stage, until

KILLS = 20
VOLUMES = 300
SEED = 20261123

NIGHT = """\
backups: {duration: [200ms, 1500ms], visible_after: [50ms, 600ms], fail: 0.01, fail_early: 0.01,
          delete: [50ms, 300ms]}
latency: [2ms, 40ms]
limit: {count: 50, per: 1s}
faults:
  - {on: create, do: drop_after, share: 0.06}
  - {on: create, do: drop_before, share: 0.03}
  - {on: create, do: cut, share: 0.02}
  - {on: create, do: delay, delay: [200ms, 600ms], share: 0.05}
  - {on: create, do: status, status: 503, code: VolumeBackup.0900, share: 0.03}
  - {on: create, do: status, status: 500, after: true, share: 0.02}
  - {on: create, do: revoke, share: 0.005}
  - {on: list, do: status, status: 503, share: 0.03}
"""


def await_creates(cloud: Cloud, count: int) -> None:
    until(lambda: len(cloud.ledger("create")) >= count)


def test_twenty_kills_lose_nothing_and_make_nothing_twice(stage: Stage) -> None:
    random = Random(SEED)
    cloud = stage.cloud(NIGHT, volumes=VOLUMES)
    stage.write_plan(
        limits={"rate": "60/s", "in_flight": 60, "connections": 6},
        retry={"attempts": 12, "later_for": "60s"},
    )
    words = ["run", "plan.yaml"]
    in_mid_work = 0
    for _ in range(KILLS):
        engine = stage.start(*words, "-v", stderr=subprocess.DEVNULL)  # nobody reads a pipe
        before = len(cloud.ledger("create"))
        if random.random() < 0.75:
            await_creates(cloud, before + random.randint(1, 12))
        else:
            time.sleep(random.uniform(0.3, 2))
        time.sleep(random.uniform(0, 0.05))
        assert engine.poll() is None
        engine.kill()
        engine.communicate()
        in_mid_work += len(cloud.ledger("create")) > before
        if words[0] == "run" and stage.runs():
            words = ["resume"]
    assert in_mid_work >= KILLS / 2, "the kills met an engine at work"
    assert stage.runs()[0]["counts"]["waiting"], "not everything was done before the last kill"

    done = stage.finish(stage.start("resume"), patience=120)
    counts = stage.runs()[0]["counts"]
    reasons = [job["code"] or job["http_status"] for job in stage.jobs("--state", "failed")]
    assert done.returncode == (1 if reasons else 0)
    assert all(reasons)
    assert counts["succeeded"] + counts["failed"] == VOLUMES
    summary = cloud.summary()
    assert summary["duplicates"] == 0
    assert summary["lost"] <= len(reasons)
    assert summary["backed_up"] == counts["succeeded"]
    assert "the cloud has what the store says" in stage("verify").stdout
    failed = {job["volume_id"] for job in stage.jobs("--state", "failed")}
    assert {row["volume"] for row in cloud.accepted()} >= {
        job["volume_id"] for job in stage.jobs() if job["volume_id"] not in failed
    }
