"""Which server a command goes to: the one, the master that sentinels name, or a cluster's node.

Pure: it decides, the transports (transport.py, atransport.py) send. It follows MOVED and ASK
itself, because the cluster clients of redis-py send commands again after a lost connection, and a
repetition is for forq alone to decide.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from redis import exceptions as foreign
from redis.crc import key_slot

from forq.store.command import Confirmed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.store.command import Argument
    from forq.store.targets import Address, Target

#: How often a command may be sent on to another node before its last answer stands.
MAX_HOPS = 5

_ASKING = ("ASKING",)

_SILENT = (foreign.ConnectionError, foreign.TimeoutError, OSError)

# The server did not answer, or no longer has the role that it had.
_GONE = (*_SILENT, foreign.ReadOnlyError, foreign.ClusterDownError)


class Request(NamedTuple):
    """A Redis command on its way: its words, and the key that routes it ("" for any server).

    `confirm` is a WAIT to be sent right behind it on the same connection, since Redis answers that
    for what its connection has written.
    """

    words: tuple[Argument, ...]
    key: str
    confirm: tuple[Argument, ...] = ()


class NoRoute(foreign.RedisError):
    """No server is known for a key: Redis would say the same, so it is mapped like its answers."""


class SlotMap(NamedTuple):
    """Ranges of a cluster's slots, sorted by `starts`; `ends` and `owners` go with them."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    owners: tuple[Address, ...]

    def owner(self, key: str) -> Address | None:
        """Return the node that serves `key`; None when no node does."""
        slot = key_slot(key.encode())
        index = bisect_right(self.starts, slot) - 1
        if index < 0 or slot > self.ends[index]:
            return None
        return self.owners[index]


class Routes:
    """Where the servers of one target are, as far as known.

    While `stale`, a transport asks the `sources` the `question` and gives the answer to `learn`.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._known: tuple[Address, ...] = target.addresses
        self._slots = SlotMap((), (), ())
        self._rank = 0
        self._silent: set[Address | None] = set()
        self.fixed = target.kind == "single"
        self.stale = not self.fixed
        self.question: tuple[str, ...] = (
            ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", target.service)
            if target.kind == "sentinel"
            else ("CLUSTER", "SLOTS")
        )

    @property
    def sources(self) -> tuple[Address, ...]:
        """Whom to ask, in turn: sentinels, or the nodes known last and then the URL's.

        Those that did not answer last time come last: a host that is off costs a whole timeout.
        """
        seeds = self._target.addresses
        if self._target.kind == "sentinel":
            found = (*seeds[self._rank :], *seeds[: self._rank])
        else:
            found = tuple(dict.fromkeys((*self._known, *seeds)))
        return tuple(sorted(found, key=self._silent.__contains__))

    def learn(self, reply: Any, asked: Address) -> bool:
        """Take the answer of the source `asked`; False when it does not help."""
        if isinstance(reply, Exception):
            self.lost(asked)
            return False
        self._silent.discard(asked)
        if not reply:
            return False
        if self._target.kind == "sentinel":
            self._known = ((_text(reply[0]), int(reply[1])),)
            # The next one is asked first when this answer proves wrong.
            self._rank = (self._target.addresses.index(asked) + 1) % len(self._target.addresses)
        else:
            self._slots = parse_slots(reply, asked)
            self._known = tuple(dict.fromkeys(self._slots.owners))
        self.stale = False
        return True

    def address(self, key: str) -> Address | None:
        """Return the server for `key`, None for a unix socket; raise :class:`NoRoute`."""
        if self._target.kind != "cluster":
            return self._known[0] if self._known else None
        found = self._slots.owner(key) if key else self._known[0]
        if found is None:
            self.stale = True
            raise NoRoute("CLUSTERDOWN Hash slot not served")
        return found

    def failure(self, replies: Sequence[Any]) -> Exception:
        """Return the error for a target none of whose sources could help."""
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        refusals = [
            error
            for error in errors
            if isinstance(error, foreign.AuthenticationError) or not isinstance(error, _SILENT)
        ]
        if refusals or (errors and len(errors) == len(replies)):
            return (refusals or errors)[0]
        if self._target.kind == "sentinel":
            return foreign.ConnectionError(
                f"no sentinel knows a master of the service {self._target.service!r}"
            )
        return NoRoute("CLUSTERDOWN no node knows who serves the slots")

    def lost(self, address: Address | None = None) -> None:
        """Note that a server did not answer: others may serve in its place."""
        self._silent.add(address)
        self.stale = not self.fixed


class Exchange:
    """Requests and their answers, over as many servers and redirections as it takes."""

    def __init__(self, routes: Routes, requests: Sequence[Request]) -> None:
        self._routes = routes
        self._requests = requests
        self._open: dict[int, Address | None] = {}
        self._asking: set[int] = set()
        self.answers: list[Any] = [None] * len(requests)
        for index, request in enumerate(requests):
            try:
                self._open[index] = routes.address(request.key)
            except NoRoute as error:
                self.answers[index] = error

    def groups(self) -> dict[Address | None, list[int]]:
        """Return which open requests go to which server now; empty when all are answered."""
        groups: dict[Address | None, list[int]] = {}
        for index, address in self._open.items():
            groups.setdefault(address, []).append(index)
        return groups

    def lines(self, members: Sequence[int]) -> list[tuple[Argument, ...]]:
        """Return the commands to send for these requests."""
        lines: list[tuple[Argument, ...]] = []
        for index in members:
            if index in self._asking:
                lines.append(_ASKING)
            request = self._requests[index]
            lines += (request.words, request.confirm) if request.confirm else (request.words,)
        return lines

    def accept(
        self, address: Address | None, members: Sequence[int], replies: Sequence[Any]
    ) -> None:
        """Take the replies to `lines(members)`, and open again what is to go elsewhere."""
        words = iter(replies)
        for index in members:
            reply = next(words)
            if index in self._asking:
                self._asking.discard(index)
                reply = next(words)
            if self._requests[index].confirm:
                confirmed = next(words)
                if not isinstance(reply, Exception):
                    failed = isinstance(confirmed, Exception)
                    reply = confirmed if failed else Confirmed(reply, int(confirmed))
            self.answers[index] = reply
            del self._open[index]
            if isinstance(reply, Exception):
                self._reconsider(index, address, reply)

    def _reconsider(self, index: int, address: Address | None, reply: Exception) -> None:
        if isinstance(reply, foreign.AskError) and address:  # MOVED is a kind of it
            self._open[index] = (reply.host or address[0], int(reply.port))
            if isinstance(reply, foreign.MovedError):
                self._routes.stale = True
            else:
                self._asking.add(index)
        elif isinstance(reply, _GONE):
            self._routes.lost(address)


def parse_slots(reply: Any, asked: Address) -> SlotMap:
    """Read the answer of ``CLUSTER SLOTS`` that the node `asked` gave.

    A node that does not know its own name leaves it out: then it is the name we asked by.
    """
    ranges = sorted(
        (int(start), int(end), (_text(master[0]) or asked[0], int(master[1])))
        for start, end, master, *_ in reply
    )
    return SlotMap(
        tuple(start for start, _, _ in ranges),
        tuple(end for _, end, _ in ranges),
        tuple(owner for _, _, owner in ranges),
    )


def _text(host: bytes | str | None) -> str:
    text = host.decode() if isinstance(host, bytes) else host or ""
    return "" if text == "?" else text
