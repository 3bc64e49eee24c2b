"""A simulated cloud inside the test's own process: a real port, and everything in it to be seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.stage import Stage
from vbsbatch.simulator import SimulatedCloud, fleet, server
from vbsbatch.simulator.app import CloudApp, volume_list
from vbsbatch.simulator.faults import read_scenario
from vbsbatch.simulator.wire import SimReply, SimRequest


class GlassCloud(SimulatedCloud):
    """A simulated cloud that remembers every token it ever issued."""

    def __init__(self, faults: str, volumes: int) -> None:
        scenario = read_scenario(faults.encode(), "faults")
        super().__init__(scenario, server.SystemClock(), 1, volumes=fleet(volumes, 1))
        self.issued: set[str] = set()

    def handle(self, request: SimRequest) -> SimReply:
        reply = super().handle(request)
        if token := reply.headers.get("x-subject-token"):
            self.issued.add(token)
        return reply


@contextmanager
def glass_cloud(stage: Stage, faults: str, volumes: int) -> Iterator[GlassCloud]:
    """Serve such a cloud; its clouds.yaml and its list of volumes become the stage's."""
    import json

    cloud = GlassCloud(faults, volumes)
    ready = threading.Event()
    with server._listen(0) as listener:
        url = f"http://{server.HOST}:{listener.getsockname()[1]}"
        running = server._Server(server._config(cloud), ready.set)
        assert isinstance(running.config.app, CloudApp)
        thread = threading.Thread(target=running.run, args=([listener],))
        thread.start()
        assert ready.wait(20)
        server._write_secret(stage.clouds, server.clouds_yaml(cloud, url))
        (stage.folder / "fleet.json").write_text(json.dumps(volume_list(cloud)))
        try:
            yield cloud
        finally:
            running.should_exit = True
            thread.join(20)
