"""An in-memory source for the screens, with a seed and a fixed clock."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vbsbatch.errors import StoreFailed, UsageError
from vbsbatch.model import (
    Answer,
    Attempt,
    BackupSettings,
    Elapsed,
    Holder,
    Job,
    JobState,
    Rate,
    Run,
    RunState,
    Settings,
    Verdict,
    Wall,
)
from vbsbatch.report import ReportData
from vbsbatch.report.comparison import RunComparison
from vbsbatch.report.sizes import Sizes
from vbsbatch.store import Event
from vbsbatch.tui.view_models import (
    Asked,
    Detail,
    FilterTerms,
    Overview,
    Panes,
    RunLine,
    Sent,
    SortKey,
    Told,
    View,
)

NOW = datetime(2026, 11, 23, 7, 27, 40, tzinfo=UTC).timestamp()
"""The instant at which the scripted world stands still."""

RUN = "20261123-0715-k3f9"

HOSTILE = (
    "\x1b]52;c;cHduZWQ=\x07\x1b]2;pwned\x07\x9d2;c1\x9c\u202egnp\u2066x\u2069 [bold]b[/bold][/nope]"
    "\r\n\t\x00\x7f \x1b[31mred \ud800 \u2028 e\u0301\u0301 \u5bbf\u6cca \U0001f469\u200d\U0001f680"
)
"""What a server or a plan might try on a terminal."""

_SIZES = (10, 40, 100, 250, 500, 2000)

_FAILURES = (
    *((429, "APIG.0308"), (503, "VolumeBackup.0900"), (500, None), (None, None)),
    (400, "VolumeBackup.0040"),
)
_ORDER = (
    *(JobState.FAILED, JobState.UNKNOWN, JobState.WAITING, JobState.RUNNING, JobState.SUBMITTING),
    *(JobState.SUCCEEDED, JobState.CANCELLED, JobState.SKIPPED),
)


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass
class ScriptedSource:
    """Hundreds of jobs in every state; what is asked of it is kept in `commands`."""

    size_of_run: int = 400
    grouped: bool = True
    sized: bool = True
    hostile: str = ""
    """Put into every field that a server or a plan can fill."""
    read_only: bool = False
    state: RunState = RunState.RUNNING
    pid: int | None = 4711
    beat: float = NOW - 0.4
    now: float = NOW
    answers: bool = False
    """Whether what is asked is answered at the next look."""
    broken: bool = False
    """Whether every read fails."""
    dirty: bool = True
    commands: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    starts: threading.Event = field(default_factory=_set)
    """Whether a new engine starts at once; not set, it takes until it is."""
    exports: threading.Event = field(default_factory=_set)
    """Whether an export is written at once, likewise."""
    resumed: list[str] = field(default_factory=list)
    reads: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        chance = random.Random(7)
        self.jobs = [self._job(no, chance) for no in range(1, self.size_of_run + 1)]
        self.run = self._run(RUN, self.state)
        self.events_of_run = [self._event(i, chance) for i in range(1, 41)]

    # The world

    def text(self, plain: str) -> str:
        return f"{plain}{self.hostile}" if self.hostile else plain

    def _run(self, run_id: str, state: RunState) -> Run:
        return Run(
            id=run_id,
            plan=self.text("nightly"),
            cloud=self.text("otc"),
            state=state,
            settings=Settings(),
            created_at=Wall(NOW - 4400),
            started_at=Wall(NOW - 4320),
            ended_at=Wall(NOW - 60) if state is RunState.ENDED else None,
            reason=self.text("quota used up") if state is RunState.STOPPED else None,
            pid=self.pid,
            host=self.text("backup01"),
            heartbeat_at=Wall(self.beat),
            next_look_at=Wall(NOW + 12),
        )

    def _job(self, no: int, chance: random.Random) -> Job:
        weights = (20, 10, 6, 8, 2, 50, 2, 2)
        state = chance.choices(_ORDER, weights)[0]
        kind = chance.choice(
            ("db-prod", "nfs-export", "billing-archive", "mail-spool", "宿泊-data")
        )
        job = Job(
            no=no,
            volume_id=f"6ba7b810-9dad-11d1-80b4-{no:012x}",
            volume_name=self.text(f"{kind}-{no:04d}"),
            backup_name=self.text(f"nightly-{no}"),
            settings=BackupSettings(
                description=self.text("before the migration"), tags=(("owner", self.text("ops")),)
            ),
            group=self.text(f"g{no % 4}"),
            size=_SIZES[no % len(_SIZES)] if self.sized else None,
            state=state,
        )
        return self._lived(job, chance)

    def _lived(self, job: Job, chance: random.Random) -> Job:
        state = job.state
        tried = state not in (JobState.WAITING, JobState.SKIPPED) or chance.random() < 0.5
        if not tried:
            return job
        sent = NOW - chance.uniform(5, 3000)
        status, code = chance.choice(_FAILURES)
        failed = state in (JobState.FAILED, JobState.WAITING, JobState.UNKNOWN)
        ended = state in (JobState.FAILED, JobState.SUCCEEDED, JobState.CANCELLED)
        return replace(
            job,
            attempts=chance.randint(1, 6) if failed else 1,
            intent_at=Elapsed(sent),
            first_sent_at=Wall(sent - 200),
            ended_at=Wall(sent + chance.uniform(1, 4)) if ended else None,
            due_at=Elapsed(NOW + chance.uniform(1, 90) if state is JobState.WAITING else 0.0),
            unknown_at=Elapsed(sent + 1) if state is JobState.UNKNOWN else None,
            http_status=status if failed else 200,
            code=self.text(code) if failed and code else (self.hostile or None),
            message=self.text("the service is unavailable") if failed else None,
            cloud_job_id=self.text(f"job-{job.no}") if state is JobState.RUNNING else None,
            backup_id=self.text(f"backup-{job.no}") if state is JobState.SUCCEEDED else None,
            progress=chance.randint(0, 99) if state is JobState.RUNNING else None,
        )

    def _event(self, number: int, chance: random.Random) -> Event:
        at = NOW - 41 + number
        if number % 5 == 0:
            text = self.text("6/s->5/s reason=429 retry_after=30s")
            return Event(id=number, at=at, no=None, kind="limiter", text=text)
        if number % 7 == 0:
            text = self.text("in the name of operator@pts/3: retry: to be tried again: 12")
            return Event(id=number, at=at, no=None, kind="command", text=text)
        job = chance.choice(self.jobs)
        return Event(
            id=number,
            at=at,
            no=job.no,
            kind="move",
            came_from=JobState.SUBMITTING,
            to=job.state,
            text=self.text("gave up after 5 attempts") if job.state is JobState.FAILED else None,
        )

    def move(self, no: int, **changes: Any) -> None:
        """Change a job, as an engine would."""
        self.jobs[no - 1] = replace(self.jobs[no - 1], **changes)
        self.dirty = True

    def tell(self, **changes: Any) -> None:
        """Change the run, as an engine would."""
        self.run = replace(self.run, **changes)
        self.dirty = True

    # What a screen asks

    def _reading(self, what: str) -> None:
        self.reads[what] += 1
        if self.broken:
            raise StoreFailed(self.text("the store is locked"))

    def changed(self) -> bool:
        dirty, self.dirty = self.dirty, False
        return dirty

    def prepare(self, run_id: str | None) -> None:
        """Nothing takes long here."""

    def runs(self) -> list[RunLine]:
        self._reading("runs")
        top = self.overview(RUN).failures[:1]
        older = [
            ("20261122-0715-a1b2", RunState.ENDED, "PART"),
            ("20261121-0715-c3d4", RunState.ENDED, "DONE"),
            ("20261120-0715-e5f6", RunState.RUNNING, "STALE"),
            ("20261119-0715-g7h8", RunState.STOPPED, "STOP"),
        ]
        counts = Counter(job.state for job in self.jobs)
        sizes = self._sizes()
        first = RunLine(
            run=self.run,
            standing="LIVE",
            counts=counts,
            top=top[0] if top else None,
            sizes=sizes,
            eta=960.0,
        )
        return [
            first,
            *(
                RunLine(run=self._run(name, state), standing=standing, counts=counts, sizes=sizes)
                for name, state, standing in older
            ),
        ]

    def _holder(self) -> Holder | None:
        return None if self.pid is None else Holder(pid=self.pid, host="backup01", visible=True)

    def overview(self, run_id: str) -> Overview:
        self._reading("overview")
        run = self.run if run_id == RUN else self._run(run_id, RunState.STOPPED)
        failed = Counter(
            (job.http_status, job.code) for job in self.jobs if job.state is JobState.FAILED
        )
        return Overview(
            run=run,
            holder=self._holder() if run_id == RUN else None,
            counts=Counter(job.state for job in self.jobs),
            retrying=sum(job.state is JobState.WAITING and job.attempts > 0 for job in self.jobs),
            rate_now=4.0,
            rate_limit=Rate(count=5),
            eta=960.0,
            failures=[(status, code, n) for (status, code), n in failed.most_common()],
            grouped=self.grouped,
            sizes=self._sizes(),
        )

    def _sizes(self) -> Sizes:
        if not self.sized:
            return Sizes(unsized=len(self.jobs))
        done = sum(job.size or 0 for job in self.jobs if job.state is JobState.SUCCEEDED)
        return Sizes(done=done, total=sum(job.size or 0 for job in self.jobs), per_hour=2600.0)

    def size(self, run_id: str, view: View) -> int:
        return len(self._found(view))

    def page(self, run_id: str, view: View, first: int, count: int) -> list[Job]:
        self._reading("page")
        return self._found(view)[first : first + count]

    def row_of(self, run_id: str, view: View, no: int) -> int | None:
        return next((i for i, job in enumerate(self._found(view)) if job.no == no), None)

    def numbers(self, run_id: str, view: View, first: int, count: int | None) -> list[int]:
        end = None if count is None else first + count
        return [job.no for job in self._found(view)[first:end]]

    def _found(self, view: View) -> list[Job]:
        found = [job for job in self.jobs if _fits(job, view.terms)]
        for sort in reversed(view.sorts):
            found.sort(key=_KEYS[sort.key], reverse=sort.descending)
        return found

    def panes(self, run_id: str) -> Panes:
        self._reading("panes")
        return Panes(
            per_minute=[(i * 7) % 23 for i in range(30)],
            latency=(0.12, 0.48, 3.2),
            limiter=[
                (NOW - 60, self.text("6/s->5/s reason=429 retry_after=30s")),
                (NOW - 30, "5/s->5.5/s"),
            ],
            slowest=sorted(
                (job for job in self.jobs if job.state is JobState.RUNNING),
                key=lambda job: job.intent_at or 0,
            )[:6],
        )

    def events(self, run_id: str, *, limit: int, every: bool = False) -> list[Told]:
        self._reading("events")
        loud = [e for e in self.events_of_run if e.to in (None, JobState.FAILED)]
        found = (self.events_of_run if every else loud)[-limit:]
        return [(event, self.jobs[event.no - 1] if event.no else None) for event in found]

    def detail(self, run_id: str, no: int) -> Detail:
        self._reading("detail")
        job = self.jobs[no - 1]
        return Detail(
            job=job,
            run=self.run if run_id == RUN else self._run(run_id, RunState.STOPPED),
            attempts=[self._attempt(job, i) for i in range(1, job.attempts + 1)],
            events=self._life(job),
            meaning=self.text("the service is unavailable") if job.code else None,
        )

    def _attempt(self, job: Job, number: int) -> Attempt:
        return Attempt(
            number=number,
            sent_at=Wall(NOW - 600 + 60 * number),
            took=0.25 * number,
            verdict=Verdict.RETRY,
            answer=Answer(
                status=job.http_status,
                code=job.code,
                message=job.message,
                request_id=self.text(f"req-{job.no}-{number}"),
                retry_after=30.0 if job.http_status == 429 else None,
            ),
        )

    def _life(self, job: Job) -> list[Event]:
        """As a journal keeps it: of the creates only what they came to."""
        if not job.attempts:
            return []
        sent = NOW - 600 + 60 * job.attempts
        before = [JobState.SUBMITTING, JobState.RUNNING]
        after = [JobState.RUNNING, job.state]
        return [
            Event(id=i, at=sent + 2 + 130 * i, no=job.no, kind="move", came_from=a, to=b)
            for i, (a, b) in enumerate(zip(before, after, strict=True))
        ]

    def request(self, detail: Detail) -> Sent:
        job = detail.job
        body = {"backup": {"volume_id": job.volume_id, "name": job.backup_name}}
        return Sent(line="POST /cloudbackups", body=body)

    def compare(self, left: str, right: str) -> RunComparison:
        self._reading("compare")
        failed = [job for job in self.jobs if job.state is JobState.FAILED]
        return RunComparison(
            left=self._data(left),
            right=self._data(right),
            failed_in_both=[(job, job) for job in failed[:9]],
            failed_only_left=failed[9:12],
            failed_only_right=failed[12:14],
            only_left=[job for job in self.jobs if job.state is JobState.SUCCEEDED][:2],
        )

    def _data(self, run_id: str) -> ReportData:
        run = self._run(run_id, RunState.ENDED)
        counts = Counter(job.state for job in self.jobs)
        return ReportData(run=run, counts=counts, meaning=lambda code, status: None, now=NOW)

    # What a screen wants done

    def ask(self, run_id: str, verb: str, argument: Mapping[str, Any]) -> Asked:
        if self.read_only:
            raise UsageError("this screen is read-only")
        self.commands.append((verb, dict(argument)))
        if self.pid is None or run_id != RUN:
            return self._without_engine(run_id, verb)
        return Asked(id=len(self.commands))

    def _without_engine(self, run_id: str, verb: str) -> Asked:
        if verb not in ("retry", "cancel", "rate", "in-flight"):
            raise UsageError("no engine drives this run")
        if verb == "retry":
            self.resume(run_id)
        return Asked(id=0, result="done at once")

    def asked(self, request: Asked) -> Asked:
        self._reading("asked")
        return replace(request, result=self.text("as you say")) if self.answers else request

    def resume(self, run_id: str) -> None:
        assert self.starts.wait(20)
        self.resumed.append(run_id)

    def export(self, run_id: str, view: View, form: str, path: str) -> int:
        found = self._found(view)
        assert self.exports.wait(20)
        Path(path).write_text(f"{form}\n" + "\n".join(str(job.no) for job in found))
        return len(found)


_KEYS: Mapping[SortKey, Callable[[Job], Any]] = {
    SortKey.NUMBER: lambda job: job.no,
    SortKey.STATE: lambda job: _rank(job),
    SortKey.VOLUME: lambda job: job.volume_name,
    SortKey.GROUP: lambda job: job.group or "",
    SortKey.HTTP: lambda job: job.http_status or 0,
    SortKey.CODE: lambda job: job.code or "",
    SortKey.ATTEMPTS: lambda job: job.attempts,
    SortKey.AGE: lambda job: -float(job.ended_at or job.intent_at or 0),
    SortKey.DUE: lambda job: job.due_at,
    SortKey.SIZE: lambda job: -(job.size or 0),
}


def _rank(job: Job) -> int:
    """Failed, unknown, retrying, running, sending, waiting, ended."""
    if job.state is JobState.WAITING and not job.attempts:
        return len(_ORDER)
    ended = job.state in (JobState.SUCCEEDED, JobState.CANCELLED, JobState.SKIPPED)
    return _ORDER.index(job.state) + (len(_ORDER) if ended else 0)


def _fits(job: Job, terms: FilterTerms) -> bool:
    texts = [job.volume_name, job.volume_id, job.backup_name, job.code or "", job.message or ""]
    everything = "\n".join([*texts, job.group or ""]).lower()
    retrying = job.state is JobState.WAITING and job.attempts > 0
    states = not terms.states and not terms.retrying
    return (
        all(word.lower() in everything for word in terms.words)
        and (not terms.any_words or any(word.lower() in everything for word in terms.any_words))
        and (states or job.state in terms.states or (terms.retrying and retrying))
        and (not terms.statuses or (job.http_status or 0) in terms.statuses)
        and (not terms.codes or _code_fits(job, terms.codes))
        and (not terms.groups or job.group in terms.groups)
    )


def _code_fits(job: Job, codes: Sequence[str]) -> bool:
    code = (job.code or "-").lower()
    return any(code.startswith(wanted.lower()) for wanted in codes)
