from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.store.fixtures import a_job, a_run
from vbsbatch.cli.screen_launcher import source_of
from vbsbatch.model import BackupSettings, Operation, Service, Settings
from vbsbatch.store import Store
from vbsbatch.tui.store_source import StoreSource
from vbsbatch.tui.view_models import Detail, Sent

RUN = "20261118-1200-aaaa"


@pytest.fixture
def source(tmp_path: Path) -> Iterator[StoreSource]:
    with Store.open(tmp_path / "vbsbatch.db", create=True) as store:
        found = source_of(store, read_only=True, starter=lambda run_id: None)
        yield found
        found.close()


def sent(source: StoreSource, settings: BackupSettings, **how: Any) -> Sent:
    job = replace(a_job(1), settings=settings)
    run = replace(a_run(RUN), settings=Settings(**how))
    return source.request(Detail(job=job, run=run, attempts=(), events=(), meaning=None))


def test_a_request_is_shown_as_its_service_documents_it(source: StoreSource) -> None:
    volume = a_job(1).volume_id
    full = BackupSettings(full=True, tags=(("a", "b"),))
    vbs = sent(source, full)
    assert vbs.line == "POST /cloudbackups"
    assert vbs.body is not None
    assert vbs.body["backup"]["volume_id"] == volume
    assert vbs.body["backup"]["extend_param"] == {"FullBackup": "true"}
    cinder = sent(source, full, service=Service.CINDER)
    assert cinder.line == "POST /backups"
    assert cinder.body is not None
    assert cinder.body["backup"]["incremental"] is False
    assert cinder.body["backup"]["metadata"] == {"a": "b"}


def test_restores_and_deletions_name_their_backup(source: StoreSource) -> None:
    old = BackupSettings(source_backup_id="b1")
    restore = sent(source, old, operation=Operation.RESTORE)
    assert restore == Sent(
        line="POST /cloudbackups/b1/restore", body={"restore": {"volume_id": a_job(1).volume_id}}
    )
    plain = sent(source, old, operation=Operation.RESTORE, service=Service.CINDER)
    assert plain.line == "POST /backups/b1/restore"
    assert sent(source, old, operation=Operation.PRUNE) == Sent(line="DELETE /backups/b1")
