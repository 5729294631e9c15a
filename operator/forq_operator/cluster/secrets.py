"""Where a pool's Redis is: its URL, with what Secrets of its namespace hold. Writes nothing.

The operator may read a Secret only where a Role says so; without one the answer says which Role.
What was read is kept a minute, then refreshed behind the answer; no secret is ever logged.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from forq.errors import ConfigurationError
from forq.location import complete
from forq.store import targets
from forq_operator.cluster.api import SECRETS
from forq_operator.cluster.errors import ApiError, Forbidden, NotFound
from forq_operator.cluster.objects import mapping, text
from forq_operator.manifests import secret_role
from forq_operator.readings import Unknown

if TYPE_CHECKING:
    from forq_operator.cluster.api import Api
    from forq_operator.spec import Pool, SecretKey

KEEP_S = 60.0
#: What went wrong is asked again sooner: a person may be about to put it right.
_KEEP_TROUBLE_S = 5.0

#: What a condition can show.
_LONGEST_MESSAGE = 1024

Account = tuple[str, str]  # the operator's service account, and its namespace


class _Kept(NamedTuple):
    pool: Pool
    answer: str | Unknown
    until: float


class Secrets:
    """The URLs of all pools' Redis."""

    def __init__(self, api: Api, account: Account) -> None:
        self._api = api
        self._account = account
        self._kept: dict[str, _Kept] = {}  # by the pool's uid
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def url(self, pool: Pool) -> str | Unknown:
        """Return the URL, or why there is none. Waits only when it knows nothing yet.

        The URL is whole: user, password and CA are in it.
        """
        kept = self._kept.get(pool.uid)
        if kept is None or kept.pool.redis != pool.redis:
            return await self.refresh(pool)
        if time.monotonic() > kept.until and pool.uid not in self._refreshing:
            task = asyncio.create_task(self._behind(pool), name=f"secrets of {pool.name}")
            self._refreshing[pool.uid] = task
        return kept.answer

    async def refresh(self, pool: Pool) -> str | Unknown:
        """Read the Secrets now: the password may have been changed."""
        kept = self._kept.get(pool.uid)
        try:
            answer = await self._resolve(pool)
        except ApiError as error:
            if kept and kept.pool.redis == pool.redis and isinstance(kept.answer, str):
                answer = kept.answer  # the API server is away: what was read is good enough
            else:
                answer = _unknown("SecretUnavailable", f"the Secret cannot be read: {error}")
        if kept and isinstance(answer, Unknown) and isinstance(kept.answer, Unknown):
            answer = answer._replace(since=kept.answer.since)
        keep = KEEP_S if isinstance(answer, str) else _KEEP_TROUBLE_S
        until = time.monotonic() + keep * random.uniform(0.8, 1.2)
        self._kept[pool.uid] = _Kept(pool, answer, until)
        return answer

    def forget(self, uid: str) -> None:
        """Forget a pool that is gone."""
        self._kept.pop(uid, None)

    async def close(self) -> None:
        """Stop what is under way."""
        tasks = list(self._refreshing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._folder is not None:
            self._folder.cleanup()

    async def _behind(self, pool: Pool) -> None:
        try:
            await self.refresh(pool)
        finally:
            self._refreshing.pop(pool.uid, None)

    async def _resolve(self, pool: Pool) -> str | Unknown:
        redis = pool.redis
        found: dict[str, dict[str, Any]] = {}
        for name in redis.secrets:
            try:
                secret = await self._api.get(SECRETS.at(pool.namespace, name))
            except NotFound:
                message = f"there is no Secret {name!r} in the namespace {pool.namespace}"
                return _unknown("SecretMissing", f"{message}; create it, or correct spec.redis")
            except Forbidden:
                return _unknown("SecretForbidden", self._forbidden(pool, name))
            found[name] = mapping(secret.get("data"))
        try:
            values = {
                key: _value(found[key.name], key)
                for key in (redis.url_from, redis.username, redis.password, redis.ca)
                if key
            }
            return self._completed(pool, values)
        except _Missing as error:
            return _unknown(error.reason, str(error))

    def _completed(self, pool: Pool, values: dict[SecretKey, str]) -> str:
        """Put everything into the URL, as a worker does with what its pod is told."""
        redis = pool.redis
        url = values[redis.url_from] if redis.url_from else redis.url
        return _checked(
            complete(
                _checked(url.strip()),
                username=values[redis.username] if redis.username else "",
                password=values[redis.password] if redis.password else "",
                ca=self._file_of(values[redis.ca]) if redis.ca else "",
            )
        )

    def _file_of(self, certificates: str) -> str:
        """Return a file with CA certificates; a file, since URLs are shown in messages."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="forq-")
        name = hashlib.sha256(certificates.encode()).hexdigest()[:16]
        file = Path(self._folder.name) / f"{name}.crt"
        if not file.exists():
            file.write_text(certificates, encoding="utf-8")
        return str(file)

    def _forbidden(self, pool: Pool, name: str) -> str:
        begin = f"the operator may not read the Secret {name!r}"
        role = f"{begin}. Apply this Role:\n{secret_role(pool, *self._account)}"
        if len(role) <= _LONGEST_MESSAGE:
            return role
        names = ",".join(pool.redis.secrets)
        return f"{begin}; let {'/'.join(reversed(self._account))} get: {names}"


class _Missing(Exception):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _value(data: dict[str, Any], key: SecretKey) -> str:
    if key.key not in data:
        raise _Missing("SecretKeyMissing", f"the Secret {key.name!r} has no key {key.key!r}")
    try:
        value = base64.b64decode(text(data[key.key]), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        message = f"what the Secret {key.name!r} has under {key.key!r} is no text"
        raise _Missing("SecretKeyInvalid", message) from None
    if not value.strip():
        message = f"the Secret {key.name!r} has nothing under {key.key!r}"
        raise _Missing("SecretKeyMissing", message)
    return value.rstrip("\r\n")  # files that became Secrets tend to end in a line break


def _checked(url: str) -> str:
    """Return a URL that forq understands and a pod can use."""
    try:
        target = targets.parse(url)
    except ConfigurationError as error:
        raise _Missing("InvalidRedisURL", str(error)) from None
    if not target.addresses:
        message = "a unix socket is not there in a pod; use redis://host:6379/0"
        raise _Missing("InvalidRedisURL", f"{target.shown!r}: {message}")
    return url


def _unknown(reason: str, message: str) -> Unknown:
    return Unknown(reason, message, time.monotonic())
