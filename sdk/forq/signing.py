"""Signatures: who may have written a job or a result.

HMAC-SHA256 with keys from FORQ_SECRET_KEY, over length-prefixed fields, so that no two different
records have the same text to sign. The first key signs, all of them verify: that is how keys
rotate. Without a key nothing is signed and nothing is checked. No I/O; it reads no environment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forq.errors import ConfigurationError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forq.wire import Body, End

#: The shortest key in bytes: 128 bits, if it was drawn at random.
MIN_KEY_BYTES = 16

_MAKE_ONE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class Place(NamedTuple):
    """Where a job lies: a signed job cannot be copied elsewhere, or to another id."""

    namespace: str
    queue: str
    key: str


class Keyring:
    """The secret keys of this process, by their ids; empty when none is set."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys: dict[str, bytes] = {}
        for number, key in enumerate(keys, start=1):
            secret = key.encode("utf-8", "surrogatepass")
            if len(secret) < MIN_KEY_BYTES:
                raise ConfigurationError(
                    f"FORQ_SECRET_KEY: key {number} is shorter than {MIN_KEY_BYTES} bytes; "
                    f"{_MAKE_ONE}"
                )
            self._keys.setdefault(_key_id(secret), secret)

    @classmethod
    def parse(cls, text: str | None) -> Keyring:
        """Read a comma-separated list of keys; the first one signs."""
        if text is None or not text.strip():
            return cls()
        keys = [key.strip() for key in text.split(",")]
        if not all(keys):
            raise ConfigurationError(
                f"FORQ_SECRET_KEY has an empty key: separate keys by one comma; {_MAKE_ONE}"
            )
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)}: {', '.join(self._keys) or 'nothing is signed'}>"

    def __reduce__(self) -> str:
        raise TypeError("a Keyring is not pickled: it holds secrets")

    def sign_job(self, body: Body, place: Place) -> Body:
        """Return the body signed by the first key, or as it is without one."""
        return (
            body._replace(key_id=self._signer, signature=self._sign(_job_text(body, place)))
            if self._keys
            else body
        )

    def verify_job(self, body: Body, place: Place) -> None:
        """Raise :class:`SignatureError` unless one of the keys signed this body for this place."""
        if self._keys:
            self._verify("job", _job_text(body, place), body)

    def sign_end(self, end: End, place: Place) -> End:
        """Return the end signed by the first key, or as it is without one."""
        return (
            end._replace(key_id=self._signer, signature=self._sign(_end_text(end, place)))
            if self._keys
            else end
        )

    def verify_end(self, end: End, place: Place) -> None:
        """Raise :class:`SignatureError` unless one of the keys signed this end for this job."""
        if self._keys:
            self._verify("result", _end_text(end, place), end)

    @property
    def _signer(self) -> str:
        return next(iter(self._keys))

    def _sign(self, text: bytes) -> bytes:
        return _mac(self._keys[self._signer], text)

    def _verify(self, what: str, text: bytes, record: Body | End) -> None:
        if not record.signature:
            raise SignatureError(
                f"the {what} is unsigned, but FORQ_SECRET_KEY is set here: "
                "set the same key where it was written"
            )
        secret = self._keys.get(record.key_id)
        if secret is None:
            raise SignatureError(
                f"the {what} is signed by the unknown key {record.key_id[:16]!r}; known here: "
                f"{', '.join(self._keys)}. Both sides need the same FORQ_SECRET_KEY; to rotate, "
                "add the new key on all readers before anything signs with it"
            )
        from hmac import compare_digest  # noqa: PLC0415 - see _mac

        if not compare_digest(_mac(secret, text), record.signature):
            raise SignatureError(
                f"the {what}'s signature is wrong: it was changed, or copied from another "
                "namespace, queue or id"
            )


def _mac(secret: bytes, text: bytes) -> bytes:
    # OpenSSL is four megabytes that each fork would map: only where there is a key to use it with,
    # and then before the first fork, since a Keyring is made there.
    import hmac  # noqa: PLC0415 - see above

    return hmac.digest(secret, text, "sha256")


def _key_id(secret: bytes) -> str:
    import hmac  # noqa: F401, PLC0415 - before the first fork, see _mac
    from hashlib import sha256  # noqa: PLC0415 - see _mac

    return sha256(b"forq key id\0" + secret).hexdigest()[:8]


def _job_text(body: Body, place: Place) -> bytes:
    return _prefixed(
        "forq job",
        str(body.version),
        *place,
        body.function,
        body.codec,
        body.options,
        body.payload,
        str(body.not_after),
    )


def _end_text(end: End, place: Place) -> bytes:
    return _prefixed(
        "forq end",
        str(end.version),
        *place,
        end.token,
        end.codec,
        "1" if end.ok else "0",
        end.payload,
    )


def _prefixed(*fields: str | bytes) -> bytes:
    parts: list[bytes] = []
    for field in fields:
        data = field.encode("utf-8", "surrogatepass") if isinstance(field, str) else field
        parts += (len(data).to_bytes(8, "big"), data)
    return b"".join(parts)
