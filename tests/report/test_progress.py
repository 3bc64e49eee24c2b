from vbsbatch.model import JobMoved, JobState, RunNoted, Wall
from vbsbatch.report import wanted

from .samples import T0, failed, job


def test_failures_and_events_of_the_run_are_always_printed_the_rest_if_asked() -> None:
    fail = JobMoved(job=failed(), came_from=JobState.SUBMITTING, at=Wall(T0))
    good = JobMoved(job=job(state=JobState.SUCCEEDED), came_from=JobState.RUNNING, at=Wall(T0))
    limiter = RunNoted(at=Wall(T0), kind="limiter", text="x")
    sweep = RunNoted(at=Wall(T0), kind="sweep", text="x")
    assert [wanted(e, verbose=False) for e in (fail, good, limiter, sweep)] == [1, 0, 1, 0]
    assert all(wanted(e, verbose=True) for e in (fail, good, limiter, sweep))
