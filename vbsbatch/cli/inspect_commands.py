"""Commands that read the store: runs, status, jobs, report."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from vbsbatch.cli.exit_status import report_data
from vbsbatch.cli.options import (
    ChosenStates,
    States,
    ascii_option,
    code_option,
    db_option,
    mention_unknown_codes,
    open_store,
    run_argument,
    status_option,
    volume_option,
)
from vbsbatch.report import FORMATS


@click.command(
    epilog="""\b
Examples:
  vbsbatch runs
  vbsbatch runs --json
  vbsbatch runs --progress tui
"""
)
@db_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
@click.option(
    "--progress",
    type=click.Choice(("auto", "tui", "plain")),
    default="auto",
    show_default=True,
    help="tui opens the list on the screen; the others print a table.",
)
@ascii_option
def runs(db: Path | None, as_json: bool, progress: str) -> int:
    """List the runs of the store, newest first, and the starts that made none."""
    if progress == "tui":
        if as_json:
            raise click.UsageError("--json and --progress tui exclude each other")
        return _browse_runs(db)
    with open_store(db, readonly=True) as store:
        if as_json:
            from vbsbatch.report import as_json as json_report

            found = [report_data(store, run) for run in store.runs()]
            json_report.write_runs(found, sys.stdout, store.missed_starts())
        else:
            from vbsbatch.api.reading import headline
            from vbsbatch.report import as_table

            headlines = (headline(store, run) for run in store.runs())
            as_table.write_runs(headlines, sys.stdout, store.missed_starts())
    return 0


def _browse_runs(db: Path | None) -> int:
    from vbsbatch.cli.screen_launcher import chosen_style, show_run

    chosen_style("tui")
    with open_store(db) as store:
        return show_run(store, None, read_only=False)


@click.command(
    epilog="""\b
Examples:
  vbsbatch status
  vbsbatch status 20261123-0715 --json
"""
)
@run_argument
@db_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def status(run: str, db: Path | None, as_json: bool) -> None:
    """Show the state of RUN: an id, the beginning of one, or latest."""
    with open_store(db, readonly=True) as store:
        data = report_data(store, store.run(run))
        if as_json:
            from vbsbatch.report import as_json as json_report

            json_report.write_status(data, sys.stdout)
        else:
            from vbsbatch.report import as_table

            as_table.write_status(data, sys.stdout)


@click.command(
    epilog="""\b
Examples:
  vbsbatch jobs latest --state failed
  vbsbatch jobs latest --status 503 --csv
  vbsbatch jobs 20261123-0715 --volume db01-data --json
"""
)
@run_argument
@db_option
@click.option(
    "--state",
    "chosen",
    multiple=True,
    type=States(),
    metavar="STATE",
    help="failed, fail, retry, active, fail|retry ...: as in the screen's filter.",
)
@status_option
@code_option
@volume_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV with a header row.")
def jobs(
    run: str,
    db: Path | None,
    chosen: tuple[ChosenStates, ...],
    statuses: tuple[int, ...],
    codes: tuple[str, ...],
    volumes: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
) -> None:
    """List the jobs of RUN: all of them, or those that match every option.

    TOOK is the time from a job's first create to its end, or until now.
    """
    from vbsbatch.api.reading import pins_of

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    with open_store(db, readonly=True) as store:
        found = store.run(run)
        mention_unknown_codes(store, found.id, codes)
        fitting = store.jobs(
            found.id,
            states=frozenset().union(*(each.read() for each in chosen)),
            statuses=statuses,
            codes=codes,
            volumes=volumes,
        )
        listed = (job for job in fitting if not chosen or any(each.takes(job) for each in chosen))
        if as_json:
            from vbsbatch.report import as_json as json_report

            json_report.write_jobs(found.id, listed, sys.stdout, pins=pins_of(store, found))
        elif as_csv:
            from vbsbatch.report import as_csv as csv_report

            csv_report.write_jobs(listed, sys.stdout, pins=pins_of(store, found))
        else:
            from vbsbatch.report import as_table

            as_table.write_jobs(listed, sys.stdout, now=time.time())


@click.command(
    epilog="""\b
Examples:
  vbsbatch compare 20261122-0715 latest
  vbsbatch compare 20261122-0715 20261123-0715 --json
"""
)
@click.argument("left", metavar="RUN")
@click.argument("right", metavar="RUN")
@db_option
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def compare(left: str, right: str, db: Path | None, as_json: bool) -> None:
    """Compare two runs: counts, durations, volumes that failed or that only one of them has."""
    from vbsbatch.api.reading import compare_runs

    with open_store(db, readonly=True) as store:
        found = compare_runs(store, left, right)
    if as_json:
        from vbsbatch.report import as_json as json_report

        json_report.write_comparison(found, sys.stdout)
    else:
        from vbsbatch.report import comparison

        comparison.write(found, sys.stdout)


@click.command(
    epilog="""\b
Examples:
  vbsbatch report
  vbsbatch report latest --format html --output night.html
  vbsbatch report 20261123-0715 --format junit --output night.xml
"""
)
@run_argument
@db_option
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
)
@click.option("--output", metavar="FILE", help="Write here instead of to standard output.")
@click.option(
    "--all",
    "all_jobs",
    is_flag=True,
    help="List every job in table and md, not only failed and skipped ones.",
)
def report(run: str, db: Path | None, format_name: str, output: str | None, all_jobs: bool) -> None:
    """Write a report of RUN; html is a document to hand on, which prints on A4."""
    from vbsbatch.report import opened, write

    with open_store(db, readonly=True) as store:
        data = report_data(store, store.run(run))
        with opened(output) as stream:
            write(data, format_name, stream, all_jobs=all_jobs)
