"""What an error says to the person at the terminal, and which exit code it is. Pure."""

from __future__ import annotations

import click

from forq import errors
from forq.cli import settings

#: Which error is which exit code; the first that fits.
_CODES: tuple[tuple[type[Exception], int], ...] = (
    (errors.JobNotFound, settings.NOT_FOUND),
    (errors.InvalidOption, settings.USAGE),
    (errors.JobFailed, settings.JOB_FAILED),
    (errors.JobCanceled, settings.JOB_FAILED),
    (errors.ResultTimeout, settings.NOT_YET),
    (errors.ForqError, settings.FAILED),
    (click.UsageError, settings.USAGE),
)

_BUG = "\nThis should not happen. --debug shows where; please report it."


class NotFound(click.ClickException):
    """There is no such job or queue."""

    exit_code = settings.NOT_FOUND


def explain(error: Exception) -> tuple[str, int]:
    """Return the message for `error` and its exit code."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), settings.FAILED)
    if isinstance(error, click.ClickException):
        return _click_message(error), getattr(error, "exit_code", code)
    if isinstance(error, errors.ForqError | OSError):
        return str(error), code
    return f"{type(error).__name__}: {error}{_BUG}", code


def _click_message(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".") if _one_sentence(error) else error.format_message()
    if isinstance(error, click.NoSuchOption) and error.option_name[1:2].isdigit():
        message += ". To give a negative number as an argument, write '--' before the arguments"
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else "forq"
        return f"{message}\nTry '{path} --help'."
    return message


def _one_sentence(error: click.ClickException) -> bool:
    return error.format_message().count(".") == 1
