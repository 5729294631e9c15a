"""Proxies before Redis: one takes away the reply to one script, one treats all roughly."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from hashlib import sha1
from typing import TYPE_CHECKING, Any, ClassVar

import hiredis

from forq.store.scripts import load
from tests.store.cutting_proxy import Cut, Pair, Proxy
from tests.worker.conftest import eventually

if TYPE_CHECKING:
    from collections.abc import Callable


class ReplyThief(Proxy):
    """Takes away replies of one script: it has run, and the connection is cut before its answer.

    Takes as many as :meth:`arm` asks for, of those replies that are `worth` it.
    """

    def __init__(
        self, port: int, script: str, worth: Callable[[Any], bool] = lambda reply: True
    ) -> None:
        super().__init__(port)
        self.stolen = 0
        self.seen = 0  # replies of this script that were worth it, the stolen ones included
        self._wanted = 0
        self._sha = load(script).sha.encode()
        self._worth = worth
        self._lock = threading.Lock()

    def arm(self, replies: int = 1) -> None:
        """Take away the next ones."""
        with self._lock:
            self._wanted += replies

    def steal(self, seconds: float = 20.0) -> None:
        """Take away one reply, and wait until a later one, that to the repetition, has passed."""
        before = self.stolen
        self.arm()
        eventually(lambda: self.stolen > before, seconds, "a reply to take away")
        seen = self.seen
        eventually(lambda: self.seen > seen, seconds, "the next reply")

    def request(self, pair: Pair, part: bytes) -> None:
        """Note which of the commands call the script, and pass them on."""
        reader = pair.notes.setdefault("requests", hiredis.Reader())
        asked = pair.notes.setdefault("asked", deque())
        reader.feed(part)
        while (words := reader.gets()) is not False:
            asked.append(self._calls_it(words))
        super().request(pair, part)

    def reply(self, pair: Pair, part: bytes) -> None:
        """Pass replies on, up to the one to be taken away."""
        reader = pair.notes.setdefault("replies", hiredis.Reader())
        asked = pair.notes["asked"]
        reader.feed(part)
        while (reply := reader.gets()) is not False:
            ours = asked.popleft() if asked else False  # published messages answer no command
            if ours and not isinstance(reply, hiredis.ReplyError) and self._worth(reply):
                self._take_away()
        super().reply(pair, part)

    def _calls_it(self, words: list[bytes]) -> bool:
        verb, script = words[0].upper(), words[1] if len(words) > 1 else b""
        if verb == b"EVAL":
            script = sha1(script, usedforsecurity=False).hexdigest().encode()
        return verb in (b"EVAL", b"EVALSHA") and script == self._sha

    def _take_away(self) -> None:
        with self._lock:
            self.seen += 1
            if not self._wanted:
                return
            self._wanted -= 1
            self.stolen += 1
        raise Cut


class ReplyHolder(ReplyThief):
    """Keeps back what :class:`ReplyThief` would take away: whoever waits for it hears nothing."""

    def __init__(self, port: int, script: str, worth: Callable[[Any], bool]) -> None:
        super().__init__(port, script, worth)
        self._released = threading.Event()

    def __exit__(self, *exc_info: object) -> None:
        self._released.set()
        super().__exit__(*exc_info)

    def _take_away(self) -> None:
        try:
            super()._take_away()
        except Cut:
            self._released.wait(60)
            raise


class RoughProxy(Proxy):
    """Cuts connections, delays, and halves what passes, in both directions and at random.

    Before it cuts it may have passed on a half. `rates` are shares of what passes; `done` counts.
    It is gentle until `rough` is set: a worker that finds no Redis at its start does not run.
    """

    rates: ClassVar = {
        "cut": 0.01,
        "half then cut": 0.01,
        "delayed": 0.05,
        "in two halves": 0.1,
    }

    def __init__(self, port: int, seed: int) -> None:
        super().__init__(port)
        self.done = Counter[str]()
        self.rough = threading.Event()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def cuts(self) -> int:
        """How many connections were cut."""
        return self.done["cut"] + self.done["half then cut"]

    def request(self, pair: Pair, part: bytes) -> None:
        """Pass on what a client sent, roughly."""
        self._pass(part, lambda piece: super(RoughProxy, self).request(pair, piece))

    def reply(self, pair: Pair, part: bytes) -> None:
        """Pass on what the server answered, roughly."""
        self._pass(part, lambda piece: super(RoughProxy, self).reply(pair, piece))

    def _pass(self, part: bytes, send: Callable[[bytes], None]) -> None:
        half = len(part) // 2
        fault, pause = self._draw()
        if fault == "cut":
            raise Cut
        if fault == "half then cut":
            send(part[:half])
            raise Cut
        if fault == "in two halves":
            send(part[:half])
            part = part[half:]
        time.sleep(pause)
        send(part)

    def _draw(self) -> tuple[str, float]:
        if not self.rough.is_set():
            return "", 0.0
        with self._lock:
            drawn = self._random.random()
            for fault, rate in self.rates.items():
                if drawn < rate:
                    self.done[fault] += 1
                    return fault, self._random.uniform(0.0, 0.05)
                drawn -= rate
        return "", 0.0
