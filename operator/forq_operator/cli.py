"""The command ``forq operator``: options and environment into an OperatorConfig, and an exit code.

Imports click only; the operator itself, with kopf and kubernetes, is imported when it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from forq.cli.settings import Command, output_options
from forq.errors import InvalidOption
from forq_operator.config import OperatorConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    Body = Callable[..., int]

_PORTS = click.IntRange(-1, 65_535)


def _option(flag: str, text: str, variable: str = "", **more: Any) -> Callable[[Body], Body]:
    """Declare an option that the environment may set too: FORQ_ and its name, or `variable`."""
    name = variable or f"FORQ_{flag.lstrip('-').upper().replace('-', '_')}"
    return click.option(flag, envvar=name, show_envvar=True, help=text, **more)


def _words(_ctx: click.Context, _param: click.Parameter, given: Any) -> tuple[str, ...]:
    return tuple(word for text in given or () for word in text.replace(",", " ").split())


@click.command("operator", cls=Command)
@_option(
    "--watch-namespaces",
    "The namespaces whose WorkerPools to look after.  [default: all]",
    multiple=True,
    callback=_words,
    metavar="NAMES",
)
@_option("--lease-name", "Of those that share a Lease, one acts.  [default: forq-operator]")
@_option("--lease-namespace", "Where the Lease is.  [default: default]", "FORQ_POD_NAMESPACE")
@_option("--identity", "Its name in the Lease.  [default: the host's name]", "FORQ_POD")
@_option("--service-account", "Its service account.  [default: forq-operator]")
@_option("--kubeconfig", "The kubeconfig, outside of a cluster.  [default: as kubectl]")
@_option("--health-host", "The address of probes and metrics.  [default: 127.0.0.1]")
@_option("--health-port", "Port of /healthz; -1: none.  [default: 8080]", type=_PORTS)
@_option("--metrics-port", "Port of /metrics; -1: none.  [default: 9464]", type=_PORTS)
@_option("--log-format", "Log for people or machines.", type=click.Choice(["text", "json"]))
@_option(
    "--log-level",
    "The least to log.  [default: info]",
    type=click.Choice(["debug", "info", "warning", "error"]),
)
def operator(**given: Any) -> int:
    """Look after WorkerPools: start workers when jobs come, and retire them when they are idle.

    In a cluster it is installed by the chart (charts/forq). Outside it uses your kubeconfig. Of
    several that share a Lease, one acts; the others are ready to.
    """
    chosen = {name: value for name, value in given.items() if value not in (None, "", ())}
    for port in ("health_port", "metrics_port"):
        if chosen.get(port, 0) < 0:
            chosen[port] = None
    config = OperatorConfig(**chosen)
    try:
        config.validate()
    except InvalidOption as error:
        raise click.UsageError(str(error)) from None
    from forq_operator.serving import run  # noqa: PLC0415 - it imports kopf and kubernetes

    return run(config)


operator.examples = (
    "forq operator                              # with your kubeconfig, all namespaces",
    "forq operator --watch-namespaces shop      # the WorkerPools of one namespace",
)
operator.params.extend(option for option in output_options() if option.name == "debug")
