import json

from hypothesis import given

from vbsbatch.model import Answer, Attempt, JobMoved, JobState, RunNoted, Verdict, Wall
from vbsbatch.report import End, Progress, jsonlines

from .samples import T0, any_text, failed, hostile_job, one_of_each, run
from .schema_check import problems

ATTEMPT = Attempt(
    number=5, sent_at=Wall(T0), took=0.1, verdict=Verdict.UNKNOWN, answer=Answer(status=500)
)


def every_kind_of_line(text: str) -> list[str]:
    jobs = [*one_of_each(), hostile_job(1, text)]
    moves = [
        JobMoved(job=each, came_from=JobState.RUNNING, at=Wall(T0), note=text, attempt=attempt)
        for each in jobs
        for attempt in (None, ATTEMPT)
    ]
    counts = {JobState.SUCCEEDED: 3}
    return [
        *(jsonlines.line(event, attempts=5) for event in moves),
        jsonlines.line(RunNoted(at=Wall(T0), kind=text, text=text), attempts=5),
        jsonlines.progress(Progress(at=T0, counts=counts, retry=1, rate=1 / 3, eta=None)),
        jsonlines.progress(Progress(at=T0, counts=counts, retry=1, rate=4.0, eta=959.6)),
        jsonlines.progress(
            Progress(at=T0, counts=counts, retry=1, rate=0, eta=None, waits_for=text)
        ),
        jsonlines.calls(T0, run(), counts),
        *(
            jsonlines.end(End(at=T0, run=run(), counts=counts, exit_code=code, next=text))
            for code in (0, 1, 2, 3, 130, 99)
        ),
    ]


@given(any_text)
def test_every_line_is_one_ascii_line_as_the_schema_says(text: str) -> None:
    for line in every_kind_of_line(text):
        assert line.isascii()
        assert line.isprintable()
        assert problems(json.loads(line), "line") == []


def test_a_move_names_the_job_where_it_came_from_and_the_verdict() -> None:
    event = JobMoved(job=failed(7), came_from=JobState.SUBMITTING, at=Wall(T0), attempt=ATTEMPT)
    said = json.loads(jsonlines.line(event, attempts=6))
    assert said["event"] == "job"
    assert (said["no"], said["charged"], said["allowed"]) == (7, 5, 6)
    assert (said["came_from"], said["job"]["state"]) == ("submitting", "failed")
    assert said["verdict"] == "unknown"
