from __future__ import annotations

import json
from urllib.request import Request, urlopen

from benchmarks.answerer import PAGE, Answerer, Record, answerer


def create(server: Answerer, number: int) -> str:
    body = json.dumps({"backup": {"name": f"n-{number}", "volume_id": f"v-{number}"}}).encode()
    with urlopen(Request(server.url + "/v2/p/cloudbackups", data=body)) as answer:
        job: str = json.load(answer)["job_id"]
    return job


def test_every_create_gets_a_job_of_its_own_and_its_arrival_is_kept() -> None:
    with answerer() as server:
        jobs = {create(server, number) for number in range(20)}
        times = server.times()
        server.reset()
        assert len(jobs) == len(times) == 20
        assert times == sorted(times)
        assert server.times() == []


def test_made_backups_are_listed_newest_first_page_after_page() -> None:
    record = Record(made=True)
    for number in range(PAGE + 5):
        record.create(json.dumps({"backup": {"name": f"n-{number}", "volume_id": "v"}}).encode())
    first = json.loads(record.page("limit=1000"))
    second = json.loads(record.page(first["backups_links"][0]["href"].removeprefix("?")))
    names = [backup["name"] for backup in first["backups"] + second["backups"]]
    assert names == [f"n-{number}" for number in reversed(range(PAGE + 5))]
    assert second["backups_links"] == []
