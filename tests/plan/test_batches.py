"""Jobs that one create can start stand together, whatever their order in the plan."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.plan.samples import RUN
from vbsbatch.model import BackupSettings, Job, JobState
from vbsbatch.plan.backup_names import MAX_LENGTH, shared_name
from vbsbatch.plan.batches import in_batches

jobs = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(-1, 1), st.sampled_from(["a", "b", "c"]), st.booleans()
    ),
    max_size=40,
).map(
    lambda rows: [
        Job(
            no=no,
            volume_id=f"v{no}",
            volume_name="v",
            backup_name="n",
            wave=wave,
            priority=priority,
            settings=BackupSettings(vault=vault),
            state=JobState.SKIPPED if skipped else JobState.WAITING,
        )
        for no, (wave, priority, vault, skipped) in enumerate(rows, 1)
    ]
)


def order(listed: list[Job]) -> list[Job]:
    """As a claim takes them."""
    waiting = [job for job in listed if job.state is JobState.WAITING]
    return sorted(waiting, key=lambda job: (job.wave, job.rank, -job.priority, job.no))


@given(jobs, st.integers(1, 5))
def test_waves_and_priorities_stay_and_batches_are_as_full_as_they_can_be(
    listed: list[Job], size: int
) -> None:
    ranked = in_batches(listed, size)
    assert [job.no for job in ranked] == [job.no for job in listed]
    sent = order(ranked)
    assert [(job.wave, -job.priority) for job in sent] == sorted(
        (job.wave, -job.priority) for job in sent
    )
    if size == 1:
        assert ranked == listed
        return
    batches: defaultdict[int, list[Job]] = defaultdict(list)
    for job in sent:
        batches[job.rank].append(job)
    partial: set[object] = set()
    for batch in batches.values():
        kinds = {(job.wave, job.priority, job.settings) for job in batch}
        assert len(kinds) == 1
        assert len(batch) <= size
        if len(batch) < size:
            assert not kinds & partial
            partial |= kinds


def test_vaults_take_turns_in_the_order_of_their_first_volumes() -> None:
    listed = [
        Job(no=no, volume_id="v", volume_name="v", backup_name="n", settings=settings)
        for no, settings in enumerate([BackupSettings(vault="a"), BackupSettings(vault="b")] * 4, 1)
    ]
    assert [job.no for job in order(in_batches(listed, 2))] == [1, 3, 2, 4, 5, 7, 6, 8]


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{plan}-{volume}-{run}", f"nightly-{RUN}"),
        ("{plan}-{volume}", f"nightly-{RUN}"),
        ("{run}", RUN),
        ("{no}", RUN),
        ("{volume}_{id}", RUN),
        ("{plan} of {group}/{volume}", f"nightly-of-{RUN}"),
        ("auto-{plan}", f"b-auto-nightly-{RUN}"),
        ("manualbk", f"b-manualbk-{RUN}"),
        ("{run}-{plan}", f"nightly-{RUN}"),
        ("x" * 80, f"{'x' * 31}-{RUN}"),
    ],
)
def test_a_shared_name_has_no_field_of_one_volume_and_ends_in_the_run(
    template: str, name: str
) -> None:
    values = {"plan": "nightly", "volume": "db01", "id": "i", "run": RUN, "date": RUN[:8]}
    found = shared_name(template, {**values, "group": "g", "no": "7"})
    assert found == name
    assert len(found) + len("_k3x9q2z0-0256") <= MAX_LENGTH
