"""Completion of values: ids of runs, codes, volumes, statuses, entries of clouds.yaml.

A shell shows nothing but candidates, so whatever goes wrong here means that there are none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from vbsbatch.model import Run
    from vbsbatch.store import RunStore

Items: TypeAlias = "list[CompletionItem]"
Complete: TypeAlias = Callable[[click.Context, click.Parameter, str], Items]

MOST = 200
"""Candidates that are offered at once."""


def _complete(find: Callable[[click.Context], Iterable[tuple[str, str]]]) -> Complete:
    """Make a completion from a function that gives (value, help) pairs."""

    @wraps(find)
    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> Items:
        found: Items = []
        with suppress(Exception):
            for value, about in find(ctx):
                if value.startswith(incomplete) and len(found) < MOST:
                    found.append(CompletionItem(value, help=about or None))
        return found

    return complete


@_complete
def run_ids(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """`latest`, and the ids of the store's runs, newest first."""
    with _store(ctx) as store:
        yield "latest", "the newest run"
        for run in store.runs():
            yield run.id, f"{run.plan}, {run.state.value}"


@_complete
def plan_names(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """The names of the plans that made backups."""
    from vbsbatch.model import Operation

    with _store(ctx) as store:
        runs = [run for run in store.runs() if run.settings.operation is Operation.BACKUP]
    for name in dict.fromkeys(run.plan for run in runs):
        yield name, ""


@_complete
def run_codes(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """The codes that answers of the run had, the most frequent first."""
    from vbsbatch.policy import documented

    with _store(ctx) as store:
        for status, code, _ in store.answers(_run(ctx, store).id):
            if code is not None:
                yield code, documented(code, status) or ""


@_complete
def run_statuses(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """The HTTP statuses that answers of the run had; 0 for no answer."""
    with _store(ctx) as store:
        answers = store.answers(_run(ctx, store).id)
    for status in dict.fromkeys(status or 0 for status, _, _ in answers):
        yield str(status), "no answer" if status == 0 else ""


@_complete
def run_volumes(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """The names of the run's volumes."""
    with _store(ctx) as store:
        for job in store.jobs(_run(ctx, store).id):
            yield job.volume_name, job.state.value


@_complete
def cloud_names(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """The entries of clouds.yaml, each with its region."""
    import yaml

    file = next((path for path in _clouds_files() if path.is_file()), None)
    entries = yaml.safe_load(file.read_text("utf-8"))["clouds"] if file is not None else {}
    for name, entry in entries.items():
        yield name, entry.get("region_name", "")


@_complete
def schedule_names(ctx: click.Context) -> Iterable[tuple[str, str]]:
    """The schedules there are."""
    from vbsbatch.cli.user_manager import schedules

    for each in schedules():
        yield each.name, str(each.timetable)


@_complete
def channel_names(_ctx: click.Context) -> Iterable[tuple[str, str]]:
    """The channels of the config file, each with its kind."""
    from vbsbatch.config import load_config

    yield from {each.group: each.kind for each in load_config().channels}.items()


def _clouds_files() -> Iterable[Path]:
    """Where clouds.yaml may be, in the order of the sign-in library."""
    if named := os.environ.get("OS_CLIENT_CONFIG_FILE"):
        yield Path(named)
    for folder in (Path(), Path("~/.config/openstack").expanduser(), Path("/etc/openstack")):
        yield folder / "clouds.yaml"


def _run(ctx: click.Context, store: RunStore) -> Run:
    return store.run(ctx.params.get("run") or "latest")


def _store(ctx: click.Context) -> RunStore:
    """The store that the command line, the environment or the config file names."""
    from vbsbatch.cli.user_config import use_config
    from vbsbatch.store import open_store

    use_config()
    named = ctx.params.get("db") or ctx.find_root().params.get("db")
    return open_store(named, readonly=True)
