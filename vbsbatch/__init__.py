"""Bulk cloud-disk backups: resumable, rate-limited, nothing submitted twice, nothing lost.

This is the public API (docs/api.md)::

    plan = vbsbatch.load_plan("nightly.yaml")
    result = await vbsbatch.run(plan, store="runs.db", cloud="otc")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vbsbatch.version import __version__ as __version__

if TYPE_CHECKING:
    from vbsbatch.api.backup_operations import prunable as prunable
    from vbsbatch.api.backup_operations import prune as prune
    from vbsbatch.api.backup_operations import restore as restore
    from vbsbatch.api.coverage import coverage as coverage
    from vbsbatch.api.metrics import MetricsReader as MetricsReader
    from vbsbatch.api.metrics import metrics as metrics
    from vbsbatch.api.notices import watch as watch
    from vbsbatch.api.pins import keep as keep
    from vbsbatch.api.pins import pins as pins
    from vbsbatch.api.pins import release as release
    from vbsbatch.api.plan_prune import prune_plan as prune_plan
    from vbsbatch.api.plan_prune import retained as retained
    from vbsbatch.api.plans import diff_plan as diff_plan
    from vbsbatch.api.plans import load_plan as load_plan
    from vbsbatch.api.preflight import preflight as preflight
    from vbsbatch.api.reading import compare as compare
    from vbsbatch.api.reading import jobs as jobs
    from vbsbatch.api.reading import runs as runs
    from vbsbatch.api.reading import status as status
    from vbsbatch.api.results import RunResult as RunResult
    from vbsbatch.api.runs import resume as resume
    from vbsbatch.api.runs import retry as retry
    from vbsbatch.api.runs import run as run
    from vbsbatch.api.steering import cancel as cancel
    from vbsbatch.api.steering import pause as pause
    from vbsbatch.api.steering import set_in_flight as set_in_flight
    from vbsbatch.api.steering import set_rate as set_rate
    from vbsbatch.api.steering import stop as stop
    from vbsbatch.api.steering import take_over as take_over
    from vbsbatch.api.steering import unpause as unpause
    from vbsbatch.api.steering import wait as wait
    from vbsbatch.api.upkeep import compact as compact
    from vbsbatch.api.upkeep import missed_starts as missed_starts
    from vbsbatch.api.vaults import vaults as vaults
    from vbsbatch.api.verification import Verification as Verification
    from vbsbatch.api.verification import verify as verify
    from vbsbatch.config import load_config as load_config
    from vbsbatch.engine.verify import Discrepancy as Discrepancy
    from vbsbatch.errors import CloudError as CloudError
    from vbsbatch.errors import CloudRefused as CloudRefused
    from vbsbatch.errors import CloudUnavailable as CloudUnavailable
    from vbsbatch.errors import PlanError as PlanError
    from vbsbatch.errors import Problem as Problem
    from vbsbatch.errors import RunIsLive as RunIsLive
    from vbsbatch.errors import SignInError as SignInError
    from vbsbatch.errors import StoreError as StoreError
    from vbsbatch.errors import StoreFailed as StoreFailed
    from vbsbatch.errors import StoreUnusable as StoreUnusable
    from vbsbatch.errors import UsageError as UsageError
    from vbsbatch.errors import VbsbatchError as VbsbatchError
    from vbsbatch.inventory.plan_diff import PlanDifference as PlanDifference
    from vbsbatch.inventory.preflight import Preflight as Preflight
    from vbsbatch.inventory.retention import Fate as Fate
    from vbsbatch.model import CalendarSpan as CalendarSpan
    from vbsbatch.model import Compaction as Compaction
    from vbsbatch.model import Coverage as Coverage
    from vbsbatch.model import Job as Job
    from vbsbatch.model import JobMoved as JobMoved
    from vbsbatch.model import JobState as JobState
    from vbsbatch.model import MissedStart as MissedStart
    from vbsbatch.model import Pin as Pin
    from vbsbatch.model import Rate as Rate
    from vbsbatch.model import Retention as Retention
    from vbsbatch.model import Run as Run
    from vbsbatch.model import RunNoted as RunNoted
    from vbsbatch.model import RunState as RunState
    from vbsbatch.model import Uncovered as Uncovered
    from vbsbatch.model import Vault as Vault
    from vbsbatch.model import VolumeCoverage as VolumeCoverage
    from vbsbatch.observers import LiveRun as LiveRun
    from vbsbatch.observers import Observer as Observer
    from vbsbatch.observers import RunEnded as RunEnded
    from vbsbatch.observers import RunEvent as RunEvent
    from vbsbatch.observers import RunStarted as RunStarted
    from vbsbatch.observers.notifier import Notifier as Notifier
    from vbsbatch.observers.pinger import Pinger as Pinger
    from vbsbatch.observers.progress_printer import ProgressPrinter as ProgressPrinter
    from vbsbatch.plan import Plan as Plan
    from vbsbatch.plan import VolumeSelection as VolumeSelection
    from vbsbatch.report import ReportData as ReportData
    from vbsbatch.report.comparison import RunComparison as RunComparison


_HOMES = {
    "prunable": "vbsbatch.api.backup_operations",
    "prune": "vbsbatch.api.backup_operations",
    "restore": "vbsbatch.api.backup_operations",
    "RunResult": "vbsbatch.api.results",
    "coverage": "vbsbatch.api.coverage",
    "MetricsReader": "vbsbatch.api.metrics",
    "metrics": "vbsbatch.api.metrics",
    "keep": "vbsbatch.api.pins",
    "pins": "vbsbatch.api.pins",
    "release": "vbsbatch.api.pins",
    "prune_plan": "vbsbatch.api.plan_prune",
    "retained": "vbsbatch.api.plan_prune",
    "watch": "vbsbatch.api.notices",
    "diff_plan": "vbsbatch.api.plans",
    "load_plan": "vbsbatch.api.plans",
    "preflight": "vbsbatch.api.preflight",
    "compare": "vbsbatch.api.reading",
    "jobs": "vbsbatch.api.reading",
    "runs": "vbsbatch.api.reading",
    "status": "vbsbatch.api.reading",
    "resume": "vbsbatch.api.runs",
    "retry": "vbsbatch.api.runs",
    "run": "vbsbatch.api.runs",
    "cancel": "vbsbatch.api.steering",
    "pause": "vbsbatch.api.steering",
    "set_in_flight": "vbsbatch.api.steering",
    "set_rate": "vbsbatch.api.steering",
    "stop": "vbsbatch.api.steering",
    "take_over": "vbsbatch.api.steering",
    "unpause": "vbsbatch.api.steering",
    "wait": "vbsbatch.api.steering",
    "compact": "vbsbatch.api.upkeep",
    "missed_starts": "vbsbatch.api.upkeep",
    "vaults": "vbsbatch.api.vaults",
    "Verification": "vbsbatch.api.verification",
    "verify": "vbsbatch.api.verification",
    "load_config": "vbsbatch.config",
    "Discrepancy": "vbsbatch.engine.verify",
    "CloudError": "vbsbatch.errors",
    "CloudRefused": "vbsbatch.errors",
    "CloudUnavailable": "vbsbatch.errors",
    "PlanError": "vbsbatch.errors",
    "Problem": "vbsbatch.errors",
    "RunIsLive": "vbsbatch.errors",
    "SignInError": "vbsbatch.errors",
    "StoreError": "vbsbatch.errors",
    "StoreFailed": "vbsbatch.errors",
    "StoreUnusable": "vbsbatch.errors",
    "UsageError": "vbsbatch.errors",
    "VbsbatchError": "vbsbatch.errors",
    "PlanDifference": "vbsbatch.inventory.plan_diff",
    "Preflight": "vbsbatch.inventory.preflight",
    "Coverage": "vbsbatch.model",
    "Compaction": "vbsbatch.model",
    "Job": "vbsbatch.model",
    "JobMoved": "vbsbatch.model",
    "JobState": "vbsbatch.model",
    "MissedStart": "vbsbatch.model",
    "Fate": "vbsbatch.inventory.retention",
    "CalendarSpan": "vbsbatch.model",
    "Pin": "vbsbatch.model",
    "Rate": "vbsbatch.model",
    "Retention": "vbsbatch.model",
    "Run": "vbsbatch.model",
    "RunNoted": "vbsbatch.model",
    "RunState": "vbsbatch.model",
    "Uncovered": "vbsbatch.model",
    "Vault": "vbsbatch.model",
    "VolumeCoverage": "vbsbatch.model",
    "LiveRun": "vbsbatch.observers",
    "Observer": "vbsbatch.observers",
    "RunEnded": "vbsbatch.observers",
    "RunEvent": "vbsbatch.observers",
    "RunStarted": "vbsbatch.observers",
    "Notifier": "vbsbatch.observers.notifier",
    "Pinger": "vbsbatch.observers.pinger",
    "ProgressPrinter": "vbsbatch.observers.progress_printer",
    "Plan": "vbsbatch.plan",
    "VolumeSelection": "vbsbatch.plan",
    "ReportData": "vbsbatch.report",
    "RunComparison": "vbsbatch.report.comparison",
}

__all__ = [
    "CalendarSpan",
    "CloudError",
    "CloudRefused",
    "CloudUnavailable",
    "Compaction",
    "Coverage",
    "Discrepancy",
    "Fate",
    "Job",
    "JobMoved",
    "JobState",
    "LiveRun",
    "MetricsReader",
    "MissedStart",
    "Notifier",
    "Observer",
    "Pin",
    "Pinger",
    "Plan",
    "PlanDifference",
    "PlanError",
    "Preflight",
    "Problem",
    "ProgressPrinter",
    "Rate",
    "ReportData",
    "Retention",
    "Run",
    "RunComparison",
    "RunEnded",
    "RunEvent",
    "RunIsLive",
    "RunNoted",
    "RunResult",
    "RunStarted",
    "RunState",
    "SignInError",
    "StoreError",
    "StoreFailed",
    "StoreUnusable",
    "Uncovered",
    "UsageError",
    "Vault",
    "VbsbatchError",
    "Verification",
    "VolumeCoverage",
    "VolumeSelection",
    "cancel",
    "compact",
    "compare",
    "coverage",
    "diff_plan",
    "jobs",
    "keep",
    "load_config",
    "load_plan",
    "metrics",
    "missed_starts",
    "pause",
    "pins",
    "preflight",
    "prunable",
    "prune",
    "prune_plan",
    "release",
    "restore",
    "resume",
    "retained",
    "retry",
    "run",
    "runs",
    "set_in_flight",
    "set_rate",
    "status",
    "stop",
    "take_over",
    "unpause",
    "vaults",
    "verify",
    "wait",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: importing the package is cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
