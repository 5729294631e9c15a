"""Every error that forq raises, as one tree.

    ForqError
    ├── ConfigurationError          a setting cannot work: URL, key, option, server
    │   ├── InvalidOption           (also a TypeError) an option is unknown or out of bounds
    │   └── UnsuitableRedis         too old, or it evicts keys
    ├── RedisUnavailable            (also a ConnectionError) no answer, refused, wrong password
    ├── SpoiltKeys                  something else wrote to a key of forq's
    ├── EnqueueError                the job was not accepted, in part or at all
    │   ├── NotImportable           the callable cannot travel as module:qualname
    │   ├── WrongArguments          (also a TypeError) the call does not fit the signature
    │   ├── DuplicateJob            the id is taken by another job
    │   ├── NotReplicated           in Redis, but too few replicas have it (wait_replicas)
    │   └── RedisFull               Redis refused the write: maxmemory or read-only
    ├── CodecError
    │   ├── NotEncodable            (also a TypeError) a value cannot travel with this codec
    │   ├── NotDecodable            the bytes are damaged, or of an unknown type
    │   └── TooLarge                a payload or a result is over its cap
    ├── SignatureError              unsigned or wrongly signed where a key is set
    ├── UnsupportedVersion          a record written by a newer forq
    ├── NotAllowed                  the function's module is not in FORQ_ALLOWED_MODULES
    ├── FunctionNotFound            (also an ImportError) the worker cannot import the function
    ├── NotInJob                    (also a RuntimeError) current_job() outside a job
    ├── JobNotFound                 no such job, or it was deleted or has expired
    ├── JobFailed                   raised by ``result()``: the job failed for good
    ├── JobCanceled                 raised by ``result()``: the job was canceled or expired
    └── ResultTimeout               (also a TimeoutError) no result within the time given

    JobTimeout(BaseException)       raised inside a job at its time limit

Foreign errors (redis, msgpack, pickle) are mapped to these where they arise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forq.records import Failure


class ForqError(Exception):
    """The root of forq's errors.

    `accepted` holds the ids of the jobs that ``enqueue_many`` had enqueued before the error.
    """

    accepted: tuple[str, ...] = ()


class ConfigurationError(ForqError):
    """A setting cannot work."""


class InvalidOption(ConfigurationError, TypeError):
    """An option is unknown, or its value is out of bounds."""


class UnsuitableRedis(ConfigurationError):
    """The server is older than Redis 6.2, evicts keys, or forbids scripts what they need."""


class RedisUnavailable(ForqError, ConnectionError):
    """Redis does not answer, refuses the connection, or refuses the credentials."""


class SpoiltKeys(ForqError):
    """A key of forq's holds another type than forq keeps there: something else wrote to it.

    It concerns one queue, or one registry, and lasts until somebody renames or deletes that key.
    """


class EnqueueError(ForqError):
    """A job was not accepted.

    ``accepted`` holds the ids that Redis did accept before the error (``enqueue_many``).
    """

    def __init__(self, message: str, accepted: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.accepted: tuple[str, ...] = tuple(accepted)


class NotImportable(EnqueueError):
    """The callable cannot be named as ``module:qualname``, so no worker could import it."""


class WrongArguments(EnqueueError, TypeError):
    """The arguments do not fit the callable's signature."""


class DuplicateJob(EnqueueError):
    """Another job has this id already."""


class NotReplicated(EnqueueError):
    """Redis has the job, but too few of its replicas had it in time: a failover may lose it.

    Only with ``Client(wait_replicas=…)``.
    """


class RedisFull(EnqueueError):
    """Redis refused the write: its memory is full, or it is a read-only replica."""


class CodecError(ForqError):
    """A value could not be encoded or decoded."""


class NotEncodable(CodecError, TypeError):
    """A value cannot travel with the codec that was chosen."""


class NotDecodable(CodecError):
    """The bytes are damaged, or name a type that cannot be found."""


class TooLarge(CodecError):
    """A payload or a result is larger than its cap."""


class SignatureError(ForqError):
    """A record is unsigned, or signed by an unknown key, where a secret key is set."""


class UnsupportedVersion(ForqError):
    """A record was written by a newer forq than this one."""


class NotAllowed(ForqError):
    """The function's module is not among the allowed modules."""


class FunctionNotFound(ForqError, ImportError):
    """The function, or a type in its arguments, cannot be imported on this machine."""


class NotInJob(ForqError, RuntimeError):
    """``current_job()`` was called by code that no worker runs as a job."""


class JobNotFound(ForqError):
    """There is no such job: never enqueued, deleted, or past its retention."""


class JobFailed(ForqError):
    """The job failed for good.

    ``failure`` holds the cause, the exception's type and message, and the traceback of the worker.
    """

    def __init__(self, message: str, failure: Failure) -> None:
        super().__init__(message)
        self.failure: Failure = failure

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (*self.args, self.failure)  # it may cross to another process


class JobCanceled(ForqError):
    """The job was canceled before it finished, or its ``ttl`` ran out before it started."""


class ResultTimeout(ForqError, TimeoutError):
    """No result came within the time given; the job itself goes on."""


class JobTimeout(BaseException):
    """Raised inside a job when its time limit is reached.

    A BaseException, so that ``except Exception`` in the job does not swallow it.
    """
