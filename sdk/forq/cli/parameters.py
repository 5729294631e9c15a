"""The types of the command line's parameters: durations, queues, jobs, states, JSON values.

They check and complete. Only the completion of queue names asks Redis, briefly, and is silent
when there is no answer.
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click
from click.shell_completion import CompletionItem

from forq.cli import text
from forq.errors import InvalidOption
from forq.names import check_queue, split_id
from forq.records import Cause, State

V = TypeVar("V")
T = TypeVar("T", bound=StrEnum)

if TYPE_CHECKING:
    Parameter = click.ParamType
else:

    class Parameter(click.ParamType, Generic[V]):
        """A parameter's type that can be subscripted, which older click does not know."""


#: How long completion waits for Redis.
_COMPLETION_SECONDS = 0.4


class Duration(Parameter[float]):
    """A duration: a number of seconds, or one with a unit."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        try:
            return value if isinstance(value, float) else text.seconds(str(value))
        except ValueError:
            self.fail(f"{value!r} is no duration: use 30, 1.5s, 5m, 2h or 7d", param, ctx)


class Moment(Parameter[datetime]):
    """A date: ISO 8601; without a time zone it is local time."""

    name = "date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the date with its time zone."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is no date: use 2026-07-01T13:05, with +02:00 or Z for a time zone",
                param,
                ctx,
            )
        return moment if moment.tzinfo else moment.astimezone()


class QueueName(Parameter[str]):
    """The name of a queue."""

    name = "queue"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, when it can be one."""
        try:
            return check_queue(value)
        except InvalidOption as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - click's own signature
        incomplete: str,
    ) -> list[CompletionItem]:
        """Complete from the queues that Redis knows."""
        from forq.cli.link import queue_names  # noqa: PLC0415 - brings redis, for completion only

        names = queue_names(ctx, _COMPLETION_SECONDS)
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class JobId(Parameter[str]):
    """A job's public id, ``queue:key``."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the id, when it can be one."""
        try:
            split_id(value)
        except InvalidOption as error:
            self.fail(str(error), param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the queue of an id."""
        if ":" in incomplete:
            return []
        names = QueueName().shell_complete(ctx, param, incomplete)
        return [CompletionItem(f"{item.value}:") for item in names]


class Word(Parameter[T]):
    """A word of an enum: the state of a job, the cause of a failure."""

    def __init__(self, name: str, kind: type[T]) -> None:
        self.name = name
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Return the member."""
        try:
            return self._kind(value)
        except ValueError:
            words = ", ".join(self._kind)
            self.fail(f"{value!r} is no {self.name}: use one of {words}", param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's own signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Complete from the words that there are."""
        return [CompletionItem(str(word)) for word in self._kind if word.startswith(incomplete)]


def json_or_text(value: str) -> Any:
    """Return `value` as JSON when it is JSON, else as the text that it is."""
    try:
        return json.loads(value, parse_constant=_no_constant)
    except ValueError:
        return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON, and more likely to be words


DURATION, MOMENT, QUEUE, JOB = Duration(), Moment(), QueueName(), JobId()
STATE, CAUSE = Word("state", State), Word("cause", Cause)
