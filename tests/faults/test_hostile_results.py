"""Ends that somebody put in place of a job's own: who waits gets an error, and runs nothing."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack  # type: ignore[import-untyped]
import pytest
import redis

from forq import NotDecodable, SignatureError, UnsupportedVersion, ajob, job, wire
from forq.cli.app import run
from forq.names import split_id
from forq.signing import Keyring, Place
from forq.wire import End
from tests.faults import canary
from tests.faults.forging import KEY, OTHER_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from forq.handle import Handle
    from tests.faults.book import Book
    from tests.worker.conftest import Stage

_DEEP = b"\x91" * 1_000_000


class Scene(NamedTuple):
    """One job that succeeded, and what a forger has at hand."""

    own: bytes  # the end of this job
    other: bytes  # the end of another one
    place: Place
    keyring: Keyring  # the one that the worker has
    file: str

    def seal(self, keyring: Keyring | None = None, **fields: Any) -> bytes:
        """Return an end, signed by the worker's key unless another one is given."""
        end = End(**{"ok": True, "codec": "msgpack", "payload": b"\x05", **fields})
        return wire.pack_end((keyring or self.keyring).sign_end(end, self.place))

    def trap(self, kind: type[canary.Trap], keyring: Keyring | None = None) -> bytes:
        return self.seal(keyring, codec="pickle", payload=pickle.dumps(kind(self.file)))


_NOBODY = Keyring([OTHER_KEY])

#: What is put in place of an end where ends are signed, and where not: and what is raised.
SIGNED: dict[str, tuple[Callable[[Scene], bytes], type[Exception]]] = {
    "another job's": (lambda s: s.other, SignatureError),
    "unsigned": (lambda s: wire.pack_end(End(True, "msgpack", b"\x05")), SignatureError),
    "unsigned failure": (
        lambda s: wire.pack_end(End(False, "failure", b"\x81\xa1c\xa6poison")),
        SignatureError,
    ),
    "signed by another key": (lambda s: s.seal(_NOBODY), SignatureError),
    "forged pickle": (lambda s: s.trap(canary.Trap, _NOBODY), SignatureError),
    "signed with no signature": (
        lambda s: wire.pack_end(End(True, "msgpack", b"\x05", key_id="x", signature=b"y")),
        SignatureError,
    ),
    "other bytes, same signature": (
        lambda s: wire.pack_end(wire.unpack_end(s.own)._replace(payload=b"\x06")),
        SignatureError,
    ),
    "a success for a failure": (
        lambda s: wire.pack_end(wire.unpack_end(s.own)._replace(ok=False)),
        SignatureError,
    ),
}
ALWAYS: dict[str, tuple[Callable[[Scene], bytes], type[Exception]]] = {
    "truncated": (lambda s: s.own[:-7], NotDecodable),
    "one byte": (lambda s: b"\xc1", NotDecodable),
    "a million levels": (lambda s: _DEEP, NotDecodable),
    "newer wire version": (lambda s: s.seal(version=2), UnsupportedVersion),
    "payload a million levels deep": (lambda s: s.seal(payload=_DEEP), NotDecodable),
    "payload of 4 GiB": (lambda s: s.seal(payload=b"\xc6\xff\xff\xff\xff"), NotDecodable),
    "unknown codec": (lambda s: s.seal(codec="zip"), NotDecodable),
    "type of another module": (
        lambda s: s.seal(
            payload=msgpack.packb(msgpack.ExtType(15, msgpack.packb(["antigravity:X", {}])))
        ),
        NotDecodable,
    ),
    "a failure that is none": (
        lambda s: s.seal(ok=False, codec="failure", payload=b"junk"),
        NotDecodable,
    ),
    "unsigned pickle": (
        lambda s: wire.pack_end(End(True, "pickle", pickle.dumps(canary.Trap(s.file)))),
        SignatureError,
    ),
    "unsigned pickle for a shell": (
        lambda s: wire.pack_end(End(True, "pickle", pickle.dumps(canary.Shelled(s.file)))),
        SignatureError,
    ),
    "pickle called msgpack": (
        lambda s: s.seal(payload=pickle.dumps(canary.Trap(s.file))),
        NotDecodable,
    ),
}


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "not signed"])
def test_no_forged_result_is_believed_or_executed(
    stage: Stage, book: Book, signed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("FORQ_")]:
        pytest.fail(f"{name} is set")
    cases = {**ALWAYS, **(SIGNED if signed else {})}
    client, keyring = stage.client, Keyring([KEY] if signed else [])
    client.keyring, client.allowed_modules = keyring, ("tests.faults",)
    handles = [stage.queue().enqueue(canary.add, n, 1) for n in range(len(cases) + 1)]
    stage.run(env={"FORQ_SECRET_KEY": KEY} if signed else {}, preload=False)
    raised, listed = 0, 0
    with redis.Redis.from_url(stage.url) as raw:
        ends = [_KeptEnd(raw, stage, handle) for handle in handles]
        assert {end.in_hash for end in ends} == {not signed}
        other = ends[-1].read()
        for handle, end, (name, (forge, error)) in zip(handles, ends, cases.items(), strict=False):
            place = Place(stage.namespace, "q", split_id(handle.id)[1])
            scene = Scene(end.read(), other, place, keyring, stage.file("canary"))
            end.write(forge(scene))
            raised += _raises(handle.id, stage, error, name)
            listed += _is_listed(handle.id, stage, capsys)
    book.note(
        "Forged results",
        "signed" if signed else "not signed",
        jobs=len(cases),
        executed=canary.songs(stage.file("canary")),
        believed=len(cases) - raised,
        not_listed=len(cases) - listed,
    )
    assert (raised, listed) == (len(cases), len(cases))
    assert not canary.songs(stage.file("canary"))
    assert "antigravity" not in sys.modules
    assert handles[-1].result(5) == len(cases) + 1
    # The canary does sing when somebody reads such a pickle.
    pickle.loads(pickle.dumps(canary.Trap(stage.file("canary"))))
    pickle.loads(pickle.dumps(canary.Shelled(stage.file("canary"))))
    assert canary.songs(stage.file("canary")) == 2


class _KeptEnd:
    """What Redis has of a job's end: in the job's hash where it is tiny, as unsigned ones are."""

    def __init__(self, raw: redis.Redis, stage: Stage, handle: Handle[Any]) -> None:
        keys, key = stage.client.store.keys("q"), split_id(handle.id)[1]
        self._raw, self._hash, self._key = raw, keys.job(key), keys.end(key)
        self.in_hash: bool = raw.hexists(self._hash, "r")

    def read(self) -> bytes:
        found = self._raw.hget(self._hash, "r") if self.in_hash else self._raw.get(self._key)
        assert isinstance(found, bytes)
        return found

    def write(self, end: bytes) -> None:
        if self.in_hash:
            self._raw.hset(self._hash, "r", end)
        else:
            self._raw.set(self._key, end, keepttl=True)


def _raises(id_: str, stage: Stage, error: type[Exception], name: str) -> bool:
    """Whether both kinds of handles raise what they should."""
    with pytest.raises(error):
        pytest.fail(f"{name} was believed: {job(id_, client=stage.client).result(5)!r}")

    async def ask() -> Any:
        async with stage.client:
            return await ajob(id_, client=stage.client).result(5)

    with pytest.raises(error):
        asyncio.run(ask())
    return True


def _is_listed(id_: str, stage: Stage, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether the command line shows the job, and lists it."""
    capsys.readouterr()
    where = ["--url", stage.url, "--namespace", stage.namespace]
    assert run([*where, "job", id_]) == run([*where, "job", id_, "--json"]) == 0
    assert run([*where, "jobs", "-n", "100", "--json"]) == 0
    listing = capsys.readouterr().out.splitlines()[-1]
    return id_ in {one["id"] for one in json.loads(listing)["jobs"]}
