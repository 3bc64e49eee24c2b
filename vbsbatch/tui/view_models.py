"""What the screens show, as values, and where they get it from.

The widgets know only this: a `Source` answers their questions from the store, page by page, so that
a run of 100,000 jobs costs no more than the rows that are visible. Times are epoch seconds,
durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from vbsbatch.model import Attempt, Holder, Job, JobState, Rate, Run
from vbsbatch.report.comparison import RunComparison
from vbsbatch.report.sizes import Sizes
from vbsbatch.store import Event


class SortKey(StrEnum):
    """What the table of jobs can be sorted by."""

    NUMBER = "number"  # plan order
    STATE = "state"  # failed, unknown, retry, running, waiting, then the ended ones
    VOLUME = "volume"
    GROUP = "group"
    HTTP = "http"
    CODE = "code"
    ATTEMPTS = "attempts"
    AGE = "age"  # time since the newest intent or end
    DUE = "due"
    SIZE = "size"


@dataclass(frozen=True, slots=True)
class Sort:
    """One column to sort by, and the direction."""

    key: SortKey
    descending: bool = False

    def __str__(self) -> str:
        return f"-{self.key}" if self.descending else str(self.key)


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterTerms:
    """A filter, parsed: every criterion that is set must fit; words within one are alternatives.

    `retrying` is not a state of the model: it stands for waiting jobs that were tried before.
    """

    text: str = ""
    """As typed; what `FilterTerms` was parsed from."""
    words: tuple[str, ...] = ()
    """Each must occur, whatever the case, in volume name or id, backup name, code, message or
    group."""
    any_words: tuple[str, ...] = ()
    """One of them must occur in the same texts."""
    states: frozenset[JobState] = frozenset()
    retrying: bool = False
    statuses: frozenset[int] = frozenset()
    """0 stands for no answer."""
    codes: tuple[str, ...] = ()
    """Beginnings of codes, whatever the case."""
    groups: frozenset[str] = frozenset()


BY_STATE = (Sort(SortKey.STATE),)
"""What needs attention first: the order in which the jobs of a run are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Which jobs the table shows, and in which order."""

    terms: FilterTerms = FilterTerms()
    sorts: tuple[Sort, ...] = ()
    """Later ones break the ties of earlier ones; plan order breaks the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """A run at one instant, as the header shows it."""

    run: Run
    holder: Holder | None
    """The engine that drives it; None without one."""
    counts: Mapping[JobState, int]
    retrying: int
    """Waiting jobs that were tried before."""
    rate_now: float
    """Creates a second, lately."""
    rate_limit: Rate
    """The rate at which the engine sends at most, as it last said."""
    eta: float | None
    """Seconds to the end; None until there is enough to tell."""
    failures: Sequence[tuple[int | None, str | None, int]] = ()
    """(HTTP status, code, jobs) of failed jobs, the most frequent first."""
    grouped: bool = False
    """Whether any job has a group."""
    sizes: Sizes = Sizes()

    @property
    def total(self) -> int:
        """Jobs of the run."""
        return sum(self.counts.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Panes:
    """The right-hand pane of the wide layout."""

    per_minute: Sequence[int] = ()
    """Backups completed in each of the last 30 minutes, oldest first."""
    latency: tuple[float, float, float] | None = None
    """p50, p95 and maximum of the newest create requests; None before the first answer."""
    limiter: Sequence[tuple[float, str]] = ()
    """The newest changes of the rate: when, and what the engine noted."""
    slowest: Sequence[Job] = ()
    """The running jobs whose create is oldest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detail:
    """Everything about one job."""

    job: Job
    run: Run
    attempts: Sequence[Attempt]
    events: Sequence[Event]
    meaning: str | None
    """What the job's code means, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A job's request as its service documents it, without any header."""

    line: str
    """Method and path."""
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLine:
    """One line of the list of runs."""

    run: Run
    standing: str
    """LIVE, PAUSED, DONE, PART, STALE, STOP or LIVE?."""
    counts: Mapping[JobState, int]
    top: tuple[int | None, str | None, int] | None = None
    """The most frequent failure."""
    sizes: Sizes = Sizes()
    eta: float | None = None
    """Seconds to the end of a run that an engine drives; None until there is enough to tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A command that was sent: shown as requested until the engine answers."""

    id: int
    result: str | None = None


Told = tuple[Event, Job | None]
"""An event and its job as it is now; None for the run as a whole."""


class Source(Protocol):
    """Where the screens get everything from; every answer is as fresh as the store.

    All calls raise `StoreError` when the file cannot be read. `prepare`, `ask`, `resume`,
    `compare` and `export` may take seconds: they are for threads of their own. All others take
    milliseconds, tens of them for whole-run figures at 100,000 jobs once those are prepared.
    """

    read_only: bool

    def changed(self) -> bool:
        """Whether anything was written since the last call; costs microseconds."""

    def prepare(self, run_id: str | None) -> None:
        """Read what takes long the first time: the figures of one run, or (None) of all runs."""

    def runs(self) -> list[RunLine]:
        """Every run of the store, newest first."""

    def overview(self, run_id: str) -> Overview:
        """The run as it stands."""

    def size(self, run_id: str, view: View) -> int:
        """How many jobs the view has."""

    def page(self, run_id: str, view: View, first: int, count: int) -> list[Job]:
        """`count` jobs of the view from row `first` on."""

    def row_of(self, run_id: str, view: View, no: int) -> int | None:
        """The row that job `no` has in the view; None when the view does not have it."""

    def numbers(self, run_id: str, view: View, first: int, count: int | None) -> list[int]:
        """The numbers of the jobs in these rows (of all rows from `first` on when None)."""

    def panes(self, run_id: str) -> Panes:
        """The right-hand pane."""

    def events(self, run_id: str, *, limit: int, every: bool = False) -> list[Told]:
        """The newest `limit` events that matter (all there are, when `every`), oldest first."""

    def detail(self, run_id: str, no: int) -> Detail:
        """Everything about one job."""

    def request(self, detail: Detail) -> Sent:
        """The job's request; reads no store and may take a moment the first time."""

    def compare(self, left: str, right: str) -> RunComparison:
        """Two runs by their figures and their volumes."""

    def ask(self, run_id: str, verb: str, argument: Mapping[str, Any]) -> Asked:
        """Ask the run's engine for something (`model.Command` lists the verbs)."""

    def asked(self, request: Asked) -> Asked:
        """The same request, with the engine's answer once there is one."""

    def resume(self, run_id: str) -> None:
        """Start a new engine for a run without one; raises `VbsbatchError` when that fails."""

    def export(self, run_id: str, view: View, form: str, path: str) -> int:
        """Write the jobs of the view to a file as `csv` or `json`; how many."""
