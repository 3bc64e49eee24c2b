"""What preflight finds on the real cloud."""

from __future__ import annotations

import json
import uuid

from tests.openstack.cloud import RealCloud
from tests.openstack.fleet import set_status
from tests.openstack.scenarios.night import Night


def test_what_would_fail_is_told_before_anything_is_started_or_left_out(
    cloud: RealCloud, night: Night
) -> None:
    fleet = night.fleet("preflight", 6, in_use=1)
    rows = json.loads((night.folder / "fleet.json").read_text())
    gone = {**rows[0], "ID": str(uuid.uuid4()), "Name": "gone"}
    (night.folder / "fleet.json").write_text(json.dumps([*rows, gone]))
    ill = fleet.ids[0]
    set_status(cloud, ill, "error")
    night.write_real_plan()
    checked = json.loads(night("check", "plan.yaml", "--online", "--json", code=2).stdout)
    errors = [each for each in checked["findings"] if each["severity"] == "error"]
    assert {each["volume_id"] for each in errors} == {gone["ID"], ill}
    night("run", "plan.yaml", "--yes", code=2)
    assert night.runs() == []
    night("run", "plan.yaml", "--yes", "--on-preflight", "skip")
    states = {job["volume_id"]: job["state"] for job in night.jobs()}
    assert {one for one, state in states.items() if state == "skipped"} == {gone["ID"], ill}
    assert {backup.volume_id for backup in night.backups(fleet)} == set(fleet.ids) - {ill}


def test_a_volume_with_a_recent_backup_is_skipped_and_says_why(night: Night) -> None:
    fleet = night.fleet("recent", 4)
    night.write_real_plan(skip_if_newer_than="1h")
    (night.folder / "two.txt").write_text("\n".join(fleet.ids[:2]))
    night("run", "plan.yaml", "--volumes", "two.txt")
    night("run", "plan.yaml")
    states = [job["state"] for job in night.jobs()]
    assert sorted(states) == ["skipped", "skipped", "succeeded", "succeeded"]
    backups = night.backups(fleet)
    assert len(backups) == len({backup.volume_id for backup in backups}) == 4
