"""`python -m vbsbatch.simulator`: serves the simulated cloud without the rest of the program."""

from __future__ import annotations

from pathlib import Path

import click

from vbsbatch.errors import UsageError
from vbsbatch.simulator.faults import load_scenario
from vbsbatch.simulator.scenario import Scenario
from vbsbatch.simulator.server import serve


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes any free port.")
@click.option("--volumes", type=click.IntRange(0), default=50, help="How many volumes there are.")
@click.option("--seed", type=int, default=1, help="The same seed, the same cloud.")
@click.option("--faults", type=click.Path(path_type=Path), help="A faults file (YAML or JSON).")
@click.option("--clouds-file", type=click.Path(path_type=Path), help="Write the clouds.yaml here.")
@click.option("--access-key", is_flag=True, help="Print an entry that signs with a key, too.")
def main(
    port: int,
    volumes: int,
    seed: int,
    faults: Path | None,
    clouds_file: Path | None,
    access_key: bool,
) -> None:
    """Serve a simulated cloud on the loopback interface until it is interrupted."""
    try:
        scenario = load_scenario(faults) if faults else Scenario()
        serve(
            scenario,
            volumes=volumes,
            seed=seed,
            port=port,
            clouds_file=clouds_file,
            access_key=access_key,
        )
    except UsageError as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    main()
