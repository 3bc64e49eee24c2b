"""The operation logs of the simulated CBR, and the pages of its lists."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from vbsbatch.model import CloudJobStatus
from vbsbatch.simulator.call import Call
from vbsbatch.simulator.native_backups import cut_page
from vbsbatch.simulator.project_state import SimJob
from vbsbatch.simulator.services.cbr_vaults import (
    MEANINGS,
    VOLUME,
    cbr_error,
    read_time,
    refuse,
    time_text,
)
from vbsbatch.simulator.services.vbs import MEANINGS as VBS_MEANINGS
from vbsbatch.simulator.wire import SimReply, json_reply

_LOG_STATUSES = {
    CloudJobStatus.INIT: "waiting",
    CloudJobStatus.RUNNING: "running",
    CloudJobStatus.SUCCESS: "success",
    CloudJobStatus.FAIL: "failed",
}


def in_time(call: Call, shown: float) -> bool:
    """Whether a moment, as the server shows it, is within `start_time` and `end_time`."""
    start, end = (read_time(call.request.query.get(key)) for key in ("start_time", "end_time"))
    return (start is None or shown >= start) and (end is None or shown <= end)


def cut(
    call: Call,
    name: str,
    entries: list[Any],
    key: Callable[[Any], str],
    render: Callable[[Call, Any], bytes],
) -> SimReply:
    """The page of a list that is asked for; the entries come in the order of the list."""
    page = cut_page(call, iter(entries), key)
    if isinstance(page, SimReply):
        return cbr_error(400, "BackupService.9900", "The marker or the limit is wrong.")
    listed = b", ".join(render(call, each) for each in page)
    rest = json.dumps({"count": len(entries), "offset": 0, "limit": len(page)})[1:]
    return SimReply(200, b'{"' + name.encode() + b'": [' + listed + b"], " + rest.encode())


def list_logs(call: Call) -> SimReply:
    """`GET /v3/{project}/operation-logs`: filters, `limit` and `offset`; newest first."""
    logs = [task for task in _shown(call) if _log_matches(call, task)]
    logs.reverse()
    return cut(call, "operation_logs", logs, lambda task: task.id, _log_bytes)


def _shown(call: Call) -> Iterator[SimJob]:
    return (task for task in call.project.jobs.values() if task.shows_at <= call.now)


def _log_matches(call: Call, task: SimJob) -> bool:
    query = call.request.query
    exact = {
        "status": _LOG_STATUSES[task.status(call.now)],
        "operation_type": task.kind,
        "vault_id": task.backup.vault_id,
        "resource_id": task.volume_id,
    }
    return all(query[key] == value for key, value in exact.items() if key in query) and in_time(
        call, call.shown(task.begins_at)
    )


def _log_bytes(call: Call, task: SimJob) -> bytes:
    return json.dumps(_log(call, task)).encode()


def _log(call: Call, task: SimJob) -> dict[str, Any]:
    status = task.status(call.now)
    over, failed = call.now >= task.ends_at, status is CloudJobStatus.FAIL
    span = max(task.ends_at - task.begins_at, 0.001)
    words = {**VBS_MEANINGS, **MEANINGS}.get(task.code or "", "The task failed.")
    volume = call.project.volumes[task.volume_id]
    return {
        "id": task.id,
        "checkpoint_id": task.backup.checkpoint_id if task.kind == "backup" else None,
        "vault_id": task.backup.vault_id,
        "operation_type": task.kind,
        "project_id": call.project.id,
        "status": _LOG_STATUSES[status],
        "error_info": {"code": task.code if failed else "", "message": words if failed else ""},
        "started_at": time_text(call, task.begins_at),
        "created_at": time_text(call, task.begins_at),
        "ended_at": time_text(call, task.ends_at) if over else None,
        "extra_info": {
            "resource": {"id": volume.id, "type": VOLUME, "name": volume.name},
            "backup": {"backup_id": task.backup.id, "backup_name": task.backup.name},
            "common": {
                "progress": 100 if over else int(100 * (call.now - task.begins_at) / span),
                "request_id": None,
                "task_id": task.id,
            },
        },
    }


def show_log(call: Call) -> SimReply:
    """`GET /v3/{project}/operation-logs/{id}`."""
    task = call.project.jobs.get(call.target)
    if task is None or task.shows_at > call.now:
        return refuse("BackupService.6500", 404)
    return json_reply(200, {"operation_log": _log(call, task)})
