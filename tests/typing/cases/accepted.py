"""What type checkers must know: each comment is the type that they reveal."""

from __future__ import annotations

from typing import reveal_type

from forq import AsyncQueue, Queue, call, task


def add(left: int, right: int = 0) -> int:
    return left + right


async def fetch(url: str) -> bytes:
    return url.encode()


class Report:
    def __init__(self, name: str) -> None:
        self.name = name


@task
def send(to: str) -> None: ...


@task(queue="mail", retry=3)
def size(to: str) -> int:
    return len(to)


@task
async def afetch(url: str) -> bytes:
    return url.encode()


@task(timeout=60)
async def acount(url: str) -> int:
    return len(url)


queue = Queue("q")
aqueue = AsyncQueue("q")

reveal_type(queue.enqueue(add, 1, right=2))  # Handle[int]
reveal_type(queue.enqueue(add, 1).result())  # int
reveal_type(queue.enqueue(fetch, "a").result())  # bytes
reveal_type(queue.enqueue(Report, "a").result())  # Report
reveal_type(queue.enqueue("app:run", 1, x=2).result())  # Any
reveal_type(queue.options(timeout=5, retry=2).enqueue(add, 1))  # Handle[int]
reveal_type(queue.enqueue_many(call(add, n) for n in range(3)))  # list[Handle[int]]
reveal_type(queue.enqueue_many([call(fetch, "a")])[0].result())  # bytes
reveal_type(call(add, 1).options(id="one"))  # Call[int]

reveal_type(send("a"))  # None
reveal_type(send.enqueue("a"))  # Handle[None]
reveal_type(send.enqueue("a").result())  # None
reveal_type(size("a"))  # int
reveal_type(size.enqueue("a").result())  # int
reveal_type(size.enqueue(to="a").result(timeout=3))  # int
reveal_type(size.options(delay=3).enqueue("a").result())  # int
reveal_type(size.call("a"))  # Call[int]
reveal_type(queue.enqueue_many(size.call(x) for x in "abc"))  # list[Handle[int]]
reveal_type(queue.enqueue(size, "a").result())  # int
reveal_type(afetch.enqueue("a").result())  # bytes
reveal_type(acount.enqueue("a").result())  # int
reveal_type(queue.enqueue(afetch, "a").result())  # bytes


async def main() -> None:
    reveal_type(await send.aenqueue("a"))  # AsyncHandle[None]
    reveal_type(await size.aenqueue("a"))  # AsyncHandle[int]
    reveal_type(await (await size.aenqueue("a")).result())  # int
    reveal_type(await afetch("a"))  # bytes
    reveal_type(await (await afetch.aenqueue("a")).result())  # bytes
    reveal_type(await aqueue.enqueue(add, 1))  # AsyncHandle[int]
    reveal_type(await (await aqueue.enqueue(fetch, "a")).result())  # bytes
    reveal_type(await aqueue.enqueue_many([call(add, 1)]))  # list[AsyncHandle[int]]
