"""Prints what rules keep of the backups of a plan, asks, and deletes the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vbsbatch.cli import mention, remark, say
from vbsbatch.cli.confirmation import carry_out_request, confirm, refuse_unasked
from vbsbatch.cli.options import DrivingOptions, open_store
from vbsbatch.cli.retention_options import fate_document, rules_of, write_fates
from vbsbatch.cli.screen_launcher import chosen_style
from vbsbatch.errors import UsageError
from vbsbatch.inventory.plan_writer import counted
from vbsbatch.report.text import clean, moment, utc

if TYPE_CHECKING:
    from vbsbatch.api.plan_prune import PlanPruneRequest, PreparedPlanPrune
    from vbsbatch.cloud import CloudService
    from vbsbatch.inventory.retention import Fate
    from vbsbatch.model import Run
    from vbsbatch.store import RunStore


def prune_plan(
    plan: str, keep: dict[str, Any], *, delete: bool, as_json: bool, how: DrivingOptions
) -> int:
    """Print the table; with `delete`, delete what no rule keeps."""
    from vbsbatch.api import plan_prune as api

    style = chosen_style(how.progress) if delete else "plain"
    with open_store(how.db) as store:
        request = _request(store, plan, keep, how)
        if delete:
            refuse_unasked(yes=how.yes)
        _say_elsewhere(request, style)

        async def freeze(service: CloudService) -> Run | int:
            from vbsbatch.api.sessions import place_line

            prepared = await api.prepare_plan_prune(store, service, request)
            if as_json:
                _print_json(prepared)
                return 0
            if not delete or not prepared.jobs:
                mention(f"in {place_line(service)}")
                write_fates(prepared.fates)
                say(f"{_summary(prepared)}; nothing was deleted")
                if prepared.jobs:
                    mention("to delete what is to go: add --delete")
                return 0
            if not how.yes:
                remark(f"in {place_line(service)}", style)
            heading = f"{_summary(prepared)}. To be deleted:"
            confirm(heading, _lines(prepared.fates), "delete", style, yes=how.yes)
            new = api.create_plan_prune(store, prepared, service, how.cloud)
            what = f"prune of {counted(len(prepared.jobs), 'backup')} of plan {clean(plan)}"
            remark(f"run {new.id}: {what}, store {store.path}", style)
            return new

        return carry_out_request(store, request.source, request.settings, freeze, how, style)


def _request(
    store: RunStore, plan: str, keep: dict[str, Any], how: DrivingOptions
) -> PlanPruneRequest:
    """What the options ask for; the plan's time zone is that of its newest run."""
    from vbsbatch.api import plan_prune as api
    from vbsbatch.api.plan_runs import runs_of_plan

    newest = next(iter(runs_of_plan(store, plan)), None)
    zone = "UTC" if newest is None else zone_of(newest)
    rules = rules_of(keep, zone)
    if rules is None and keep["timezone"] is not None:
        raise UsageError("--timezone is for rules such as --keep-daily")
    return api.request_plan_prune(
        store, plan, rules, cloud=how.cloud, rate=how.rate, in_flight=how.in_flight
    )


def zone_of(run: Run) -> str:
    """The time zone of a run's plan."""
    settings = run.settings
    if settings.retention is not None:
        return settings.retention.timezone
    return "UTC" if settings.window is None else settings.window.timezone


def _say_elsewhere(request: PlanPruneRequest, style: str) -> None:
    """Print where else the plan has runs: their backups are not looked at."""
    places: dict[str, int] = {}
    for run in request.elsewhere:
        words = f"{run.place}, by {run.settings.service}"
        places[words] = places.get(words, 0) + 1
    for words, runs in places.items():
        text = f"{counted(runs, 'run')} of this plan elsewhere ({clean(words)})"
        remark(f"note: {text}: not looked at; --cloud names another cloud", style)


def _summary(prepared: PreparedPlanPrune) -> str:
    told, request = prepared.fates, prepared.request
    volumes = len({fate.found.volume for fate in told})
    going = [fate.found.backup for fate in told if fate.goes]
    size = sum(backup.size or 0 for backup in going)
    return (
        f"plan {clean(request.source.plan)}, {request.rules}: {counted(len(told), 'backup')} of "
        f"{counted(volumes, 'volume')}, {len(told) - len(going)} kept, {len(going)} to go "
        f"({size} GB)"
    )


def _lines(told: Sequence[Fate]) -> list[str]:
    lines = []
    for fate in told:
        found = fate.found
        if fate.goes:
            made = "unknown" if found.backup.created_at is None else moment(found.backup.created_at)
            volume = clean(found.job.volume_name)
            lines.append(f"  {volume}  {made}  run {found.run.id}  {clean(found.backup.id)}")
    return lines


def _print_json(prepared: PreparedPlanPrune) -> None:
    import json

    request = prepared.request
    rules: Mapping[str, Any] = {
        name: getattr(request.rules, name)
        for name in ("last", "daily", "weekly", "monthly", "yearly")
    }
    within = request.rules.within
    document = {
        "schema": 1,
        "plan": clean(request.source.plan),
        "rules": {
            **rules,
            "within": None if within is None else str(within),
            "timezone": request.rules.timezone,
        },
        "elsewhere": [
            {"run": run.id, "created_at": utc(run.created_at), "place": clean(str(run.place))}
            for run in request.elsewhere
        ],
        "backups": [fate_document(fate) for fate in prepared.fates],
    }
    say(json.dumps(document, indent=2))
