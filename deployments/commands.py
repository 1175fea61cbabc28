"""`mvideo server ...`: the Prefect server and workers of this machine."""

import logging
from pathlib import Path

import typer

from mvideo.deployments._state import VARIABLE

app = typer.Typer(help="Prefect server and workers of this machine.", no_args_is_help=True, add_completion=False)

STATE = typer.Option(None, "--state", help=f"State folder; default ${VARIABLE} or ~/.mvideo.")
ENVIRONMENT = typer.Option("", "--environment", "-e", help="Name in deployments/environments, or a YAML file.")
PORT = typer.Option(None, "--port", help="Port on 127.0.0.1; 0 = any free one.")


@app.command()
def up(state: Path | None = STATE, environment: str = ENVIRONMENT, port: int | None = PORT) -> None:
    """Start server and workers, register pool, queues, automation and deployments. Rerun to start what is missing."""
    from mvideo.deployments.stack import Stack

    _set_up_logging()
    stack = Stack(state, environment, port)
    stack.up()
    _print(stack)


@app.command()
def down(state: Path | None = STATE) -> None:
    """Stop everything that `up` started; active runs are marked Crashed and can be retried after the next `up`."""
    from mvideo.deployments.stack import Stack

    _set_up_logging()
    Stack(state).down()
    typer.echo("stopped")


@app.command()
def status(state: Path | None = STATE) -> None:
    """Show what is running and where the UI is. Exit code 1 if something of ours is missing."""
    from mvideo.deployments.stack import Stack

    stack = Stack(state)
    _print(stack)
    wanted = {plan.name for plan in stack.plan_workers()} | ({"server"} if stack.environment.server else set())
    if wanted - {process.name for process in stack.find_running()} or not stack.is_healthy():
        raise typer.Exit(1)


@app.command()
def register(state: Path | None = STATE, environment: str = ENVIRONMENT) -> None:
    """Register pool, queues, automation and deployments on a running server; starts nothing."""
    from mvideo.deployments.stack import Stack

    _set_up_logging()
    stack = Stack(state, environment)
    stack.register()
    pool = stack.environment.pool
    typer.echo(f"registered on {stack.url}; `prefect worker start --pool {pool}` on any host executes the runs")


@app.command()
def reap(
    state: Path | None = STATE,
    environment: str = ENVIRONMENT,
    retry: bool = typer.Option(False, "--retry", help="Also put crashed runs back in their queues."),
) -> None:
    """Repair runs whose process is gone: Running becomes Crashed, Cancelling Cancelled; Pending is requeued."""
    from mvideo.deployments._reap import retry_crashed
    from mvideo.deployments.stack import Stack

    _set_up_logging()
    stack = Stack(state, environment)
    found = stack.reap()
    for entry in found:
        typer.echo(f"{entry.run.name} ({entry.run.id}): {entry.was} -> {entry.now}")
    if retry:
        with stack.client() as client:
            for run in retry_crashed(client, max_runs=100):
                typer.echo(f"{run.name} ({run.id}): queued again")
    typer.echo(f"{len(found)} runs corrected")


@app.command()
def watch(
    state: Path | None = STATE,
    environment: str = ENVIRONMENT,
    port: int | None = PORT,
    max_runs: int = typer.Option(10, "--max-runs", help="Total starts of a crashed flow run; 0 = never retry."),
) -> None:
    """Like `up`, but in the foreground: restart dead processes, repair and retry their runs. Ctrl-C stops all."""
    from mvideo.deployments.stack import Stack

    _set_up_logging()
    stack = Stack(state, environment, port)
    stack.up()
    _print(stack)
    try:
        stack.watch(max_runs)
    finally:
        stack.down()


def _set_up_logging() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("mvideo.deployments").setLevel(logging.INFO)


def _print(stack: "object") -> None:
    from mvideo.deployments.stack import Stack

    assert isinstance(stack, Stack)
    for process in stack.find_running():
        typer.echo(f"{process.name:<14} pid {process.pid}")
    if not stack.find_running():
        typer.echo("nothing is running; start it with `mvideo server up`")
        return
    typer.echo(f"environment    {stack.environment_name}")
    typer.echo(f"logs           {stack.folder / 'logs'}")
    typer.echo(f"PREFECT_API_URL={stack.url}")
    typer.echo(f"UI             {stack.url.removesuffix('/api')}")
