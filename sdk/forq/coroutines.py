"""Running a job's coroutine: the only part of execution that imports asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from forq.errors import JobTimeout

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def run_coroutine(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop of its own, and return its value.

    The time limit's signal may strike inside a callback of the loop, where asyncio would log the
    JobTimeout and go on: then the job's task is cancelled, and JobTimeout raised here. Inside a
    running loop (``forq.testing`` in an async test) the new loop runs in a thread.
    """
    return _run_in_thread(coroutine) if _in_a_loop() else _run(coroutine)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    struck: list[JobTimeout] = []
    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        async def main() -> T:
            task = asyncio.current_task()

            def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
                error = context.get("exception")
                if isinstance(error, JobTimeout) and task is not None:
                    struck.append(error)
                    task.cancel()
                else:
                    loop.default_exception_handler(context)

            loop.set_exception_handler(handler)
            return await coroutine

        try:
            return runner.run(main())
        except asyncio.CancelledError:
            if struck:
                raise struck[0] from None
            raise


def _run_in_thread(coroutine: Coroutine[Any, Any, T]) -> T:
    import contextvars  # noqa: PLC0415 - rare
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - rare

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(contextvars.copy_context().run, _run, coroutine).result()
