"""What type checkers must reject: each comment names an entry of the expected messages."""

from __future__ import annotations

from forq import AsyncQueue, Queue, call, task


@task
def send(to: str) -> None: ...


@task
async def asend(to: str) -> int:
    return len(to)


def add(left: int, right: int = 0) -> int:
    return left + right


queue = Queue("q")

send.enqueue(1)  # wrong type
send.enqueue("a", cc=2)  # unknown argument
send.enqueue()  # missing argument
send.call(1)  # wrong type, task.call
asend.enqueue(1)  # wrong type, async
queue.enqueue(add, "a")  # wrong type, queue
call(add, "a")  # wrong type, call
queue.options(retries=3)  # unknown option
send.options(timeout="long")  # wrong option
text: str = asend.enqueue("a").result()  # another result


async def main() -> None:
    await send.aenqueue(1)  # wrong type, aenqueue
    await AsyncQueue("q").enqueue(add, "a")  # wrong type, async queue
