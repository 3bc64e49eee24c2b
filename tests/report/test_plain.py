import re
from dataclasses import replace

from hypothesis import given

from vbsbatch.model import JobMoved, JobState, Operation, RunNoted, Settings, Wall
from vbsbatch.report import End, Progress, plain
from vbsbatch.report.sizes import Sizes

from .samples import T0, any_text, failed, hostile_job, job, one_of_each, run
from .test_text import is_harmless

COUNTS = {
    JobState.WAITING: 3732,
    JobState.RUNNING: 40,
    JobState.SUCCEEDED: 5420,
    JobState.FAILED: 788,
    JobState.CANCELLED: 20,
}


def moved(to: object, note: str | None = None) -> str:
    event = JobMoved(job=to, came_from=JobState.RUNNING, at=T0, note=note)  # type: ignore[arg-type]
    return plain.line(event, attempts=5)


def test_a_failure_reads_as_in_the_manual() -> None:
    lost = failed(4733, http_status=500, code=None, volume_name="billing-archive-2021")
    assert moved(lost) == (
        '07:27:39Z fail     job=04733 attempt=5/5 http=500 code=- vol="billing-archive-2021"'
    )


def test_the_limiter_reads_as_in_the_manual() -> None:
    note = RunNoted(at=Wall(T0 + 1), kind="limiter", text="6.0->5.0/s reason=429 retry_after=30s")
    assert plain.line(note, attempts=5) == (
        "07:27:40Z limiter  6.0->5.0/s reason=429 retry_after=30s"
    )


def test_progress_reads_as_in_the_manual() -> None:
    now = Progress(at=T0 + 21, counts=COUNTS, retry=612, rate=4.0, eta=960.0)
    assert plain.progress(now) == (
        "07:28:00Z progress 6228/10000 62.3%"
        " ok=5420 fail=788 retry=612 active=40 rate=4.0/s eta=16m"
    )


def test_progress_says_what_must_happen_before_more_is_sent() -> None:
    waits = "window opens Thu 26 Nov 22:00 CET\x1b[2J"
    now = Progress(at=T0, counts={}, retry=0, rate=0, eta=None, waits_for=waits)
    line = plain.progress(now)
    assert ' eta=- waits="window opens Thu 26 Nov 22:00 CET' in line
    assert line.isprintable()


def test_progress_has_gigabytes_where_sizes_are_known() -> None:
    now = Progress(at=T0, counts={}, retry=0, rate=0, eta=None)
    assert "gb" not in plain.progress(now)
    sized = replace(now, sizes=Sizes(done=12, total=40))
    assert " rate=0.0/s gb=12/40 eta=-" in plain.progress(sized)
    some = replace(now, sizes=Sizes(done=12, total=40, unsized=3))
    assert " gb=12/40 unsized=3 eta=-" in plain.progress(some)
    paced = replace(now, sizes=Sizes(done=12, total=40, per_hour=31.4))
    assert " gb=12/40 gb_per_hour=31 eta=-" in plain.progress(paced)


def test_the_calls_of_restores_and_deletions_are_called_so() -> None:
    for operation, words in (
        (Operation.RESTORE, "restore=6 read=9 per_restore=3.00"),
        (Operation.PRUNE, "delete=6 read=9 per_deletion=3.00"),
    ):
        settings = Settings(operation=operation, source_run="r")
        asked = run(settings=settings, create_calls=6, read_calls=9)
        assert plain.calls(T0, asked, {JobState.SUCCEEDED: 5}).endswith(words)


def test_an_unknown_estimate_is_a_dash() -> None:
    assert plain.progress(Progress(at=T0, counts={}, retry=0, rate=0, eta=None)).endswith(" eta=-")


def test_the_end_names_outcome_exit_code_and_next_command() -> None:
    how = End(
        at=T0 + 2013,
        run=run(),
        counts={JobState.SUCCEEDED: 9190, JobState.FAILED: 790},
        exit_code=1,
        next="vbsbatch retry 20261123-0715 --status 503",
    )
    assert plain.end(how) == (
        "08:01:12Z end      partial ok=9190 fail=790 exit=1"
        ' next="vbsbatch retry 20261123-0715 --status 503"'
    )


def test_a_stopped_run_says_how_much_is_left() -> None:
    how = End(at=T0, run=run(), counts=COUNTS, exit_code=3, next=None)
    assert (
        plain.end(how)
        == "07:27:39Z end      stopped ok=5420 fail=788 cancelled=20 left=3772 exit=3"
    )


def test_the_calls_are_printed_with_the_number_per_completed_backup() -> None:
    line = plain.calls(T0, run(create_calls=600, read_calls=90), {JobState.SUCCEEDED: 600})
    assert line == "07:27:39Z calls    create=600 read=90 per_backup=1.15"


def test_every_state_has_a_word_and_a_retry_says_when() -> None:
    lines = [moved(each) for each in one_of_each()]
    words = [line.split()[1] for line in lines]
    assert " ".join(words) == "retry retry send unknown run ok fail cancel skip"
    assert " in=1m00s " in lines[1]
    assert " backup=b6 " in lines[5]


def test_attempts_that_cost_nothing_are_not_counted() -> None:
    assert " attempt=2/5 " in moved(job(attempts=9, uncharged=7))


def test_a_note_comes_last_quoted_and_cut() -> None:
    line = moved(failed(), note='deadline "x"' + "y" * 1000)
    assert re.search(r' vol="db-0001" note="deadline \\"x\\"y+\.\.\."$', line)
    assert len(line) < 450


@given(any_text)
def test_whatever_the_cloud_says_a_line_is_one_harmless_line(text: str) -> None:
    for line in (
        moved(hostile_job(1, text), note=text),
        plain.line(RunNoted(at=Wall(T0), kind=text, text=text), attempts=5),
        plain.end(End(at=T0, run=run(), counts={}, exit_code=1, next=text)),
    ):
        assert is_harmless(line)


@given(any_text)
def test_no_untrusted_text_can_forge_another_pair(text: str) -> None:
    line = moved(hostile_job(1, text), note=text)
    pairs = re.findall(r' ([a-z]+)=("(?:[^"\\]|\\.)*"|[^ "]+)', line[18:])
    expected = ["job", "attempt", "http", "code", "vol"] + (["note"] if text else [])
    assert [key for key, _ in pairs] == expected
    assert line[18:] == "".join(f" {key}={value}" for key, value in pairs)
