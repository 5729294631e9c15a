"""A WorkerPool as a frozen record, and how it is read out of the resource. No I/O.

The CRD checks and defaults most of this before; parse() checks it again, since the same YAML also
runs without Kubernetes, and raises SpecError for what a schema cannot catch.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from forq_operator import behavior as hpa
from forq_operator import brake
from forq_operator.fields import Fields, SpecError
from forq_operator.podtemplate import merged
from forq_operator.scaling import Target

__all__ = ["Job", "Pool", "QueueRef", "Redis", "Rollout", "Scaling", "SecretKey", "SpecError"]

GROUP = "forq.dev"
VERSION = "v1alpha1"
KIND = "WorkerPool"

_POOL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?\Z")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
_MEMORY = re.compile(r"([1-9][0-9]{0,15})(Ki|Mi|Gi|k|M|G)?\Z")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_LEAST_MEMORY = 16 * 2**20
_URL = re.compile(r"rediss?(\+(sentinel|cluster))?://[^@\s]+\Z")


class SecretKey(NamedTuple):
    """A key of a Secret in the pool's namespace."""

    name: str
    key: str


class Redis(NamedTuple):
    """Where the jobs are: `url`, or a Secret that holds it; in local mode maybe neither."""

    url: str = ""
    url_from: SecretKey | None = None
    username: SecretKey | None = None
    password: SecretKey | None = None
    ca: SecretKey | None = None
    prefix: str = "forq"
    allow_eviction: bool = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all Secrets that are needed, each once."""
        keys = (self.url_from, self.username, self.password, self.ca)
        return tuple(dict.fromkeys(key.name for key in keys if key))


class QueueRef(NamedTuple):
    """A queue, and the pool's weight where several pools serve it."""

    name: str
    weight: int = 1


class Job(NamedTuple):
    """What is known and allowed of each job; `memory_limit` is '' for none."""

    memory_limit: str = ""
    expected_seconds: float = 1.0


class Scaling(NamedTuple):
    """Between what, towards what, how fast, and when not."""

    min: int = 0
    max: int = 10
    target: Target = Target()
    behavior: hpa.Behavior = hpa.Behavior()
    brake: brake.Policy = brake.Policy()


class Rollout(NamedTuple):
    """How pods of a new template replace the old: `surge` 0 to 1, `deadline` in seconds."""

    surge: float = 0.25
    deadline: int = 3600


class Pool(NamedTuple):
    """A WorkerPool. `template` is the pod template, shorthands merged in; never change it."""

    name: str
    namespace: str
    uid: str
    generation: int
    redis: Redis
    queues: tuple[QueueRef, ...]
    template: dict[str, Any]
    concurrency: int = 1
    isolation: str = "Fork"
    preload: tuple[str, ...] = ()
    job: Job = Job()
    drain: int = 540
    lease: int = 30
    mode: str = "Auto"
    suspend: bool = False
    scaling: Scaling = Scaling()
    rollout: Rollout = Rollout()


def parse(resource: dict[str, Any], *, local: bool = False) -> Pool:
    """Read a WorkerPool, or raise SpecError. `local`: Redis and image need not be given."""
    top = Fields(resource, "")
    metadata, spec = top.child("metadata"), top.child("spec")
    name = metadata.text("name")
    if not _POOL_NAME.match(name):
        raise SpecError(
            f"metadata.name is {name!r}; use 1 to 40 lower-case letters, digits and '-', since "
            "the names of Deployments and pods begin with it"
        )
    spec.only(
        *("redis", "queues", "image", "template", "env", "envFrom", "resources", "concurrency"),
        *("isolation", "preload", "job", "drainSeconds", "leaseSeconds", "mode", "suspend"),
        *("scaling", "rollout"),
    )
    return Pool(
        name=name,
        namespace=metadata.text("namespace", "default"),
        uid=metadata.text("uid"),
        generation=metadata.integer("generation", 0, 0, 2**63 - 1),
        redis=_redis(spec.child("redis"), local=local),
        queues=_queues(spec),
        template=merged(spec, local=local),
        concurrency=spec.integer("concurrency", 1, 1, 1024),
        isolation=spec.choice("isolation", ("Fork", "Reuse", "Async")),
        preload=_preload(spec),
        job=_job(spec.child("job")),
        drain=spec.integer("drainSeconds", 540, 0, 86_400),
        lease=spec.integer("leaseSeconds", 30, 5, 3600),
        mode=spec.choice("mode", ("Auto", "Hold")),
        suspend=spec.flag("suspend"),
        scaling=_scaling(spec.child("scaling")),
        rollout=_rollout(spec.child("rollout")),
    )


def _redis(given: Fields, *, local: bool) -> Redis:
    refs = {
        name: _secret(given, name) for name in ("urlFrom", "usernameFrom", "passwordFrom", "caFrom")
    }
    url = given.text("url")
    if (bool(url) == bool(refs["urlFrom"])) and not (local and not url):
        raise SpecError(
            f"{given.path}: give exactly one of url and urlFrom, where urlFrom names a Secret and "
            "its key that holds a URL"
        )
    if url and not local and ("password=" in url or not _URL.match(url)):
        raise SpecError(
            f"{given.at('url')} must be like redis://host:6379/0 or rediss://… and hold no user "
            "or password: put a URL with credentials into a Secret and name it in "
            f"{given.at('urlFrom')}, or use usernameFrom and passwordFrom"
        )
    if refs["usernameFrom"] and not refs["passwordFrom"]:
        raise SpecError(f"{given.at('usernameFrom')} needs {given.at('passwordFrom')} beside it")
    if refs["caFrom"] and url and not url.startswith("rediss"):
        raise SpecError(f"{given.at('caFrom')} is for TLS: use a url that begins with rediss://")
    prefix = given.text("keyPrefix", "forq")
    if not _NAME.match(prefix):
        raise SpecError(
            f"{given.at('keyPrefix')} is {prefix!r}; use 1 to 64 of letters, digits, '.', '_', '-'"
        )
    return Redis(
        url=url,
        url_from=refs["urlFrom"],
        username=refs["usernameFrom"],
        password=refs["passwordFrom"],
        ca=refs["caFrom"],
        prefix=prefix,
        allow_eviction=given.flag("allowEviction"),
    )


def _secret(given: Fields, name: str) -> SecretKey | None:
    if name not in given:
        return None
    ref = given.child(name).child("secretKeyRef")
    if not ref.text("name") or not ref.text("key"):
        raise SpecError(f"{ref.path} needs a name (of a Secret) and a key (in it)")
    return SecretKey(ref.text("name"), ref.text("key"))


def _queues(spec: Fields) -> tuple[QueueRef, ...]:
    queues = tuple(
        QueueRef(item.text("name"), item.integer("weight", 1, 1, 1000))
        for item in spec.children("queues")
    )
    if not queues:
        raise SpecError("spec.queues names no queue: give at least one, as in [{name: default}]")
    for index, queue in enumerate(queues):
        if not _NAME.match(queue.name):
            raise SpecError(
                f"spec.queues[{index}].name is {queue.name!r}; use 1 to 64 of letters, digits, "
                "'.', '_' and '-'"
            )
    if len({queue.name for queue in queues}) < len(queues):
        raise SpecError("spec.queues names a queue twice: name each once, the most urgent first")
    return queues


def _preload(spec: Fields) -> tuple[str, ...]:
    modules = spec.texts("preload")
    for index, module in enumerate(modules):
        if not _MODULE.match(module):
            raise SpecError(
                f"spec.preload[{index}] is {module!r}; name a module as in an import: app.tasks"
            )
    return modules


def _job(given: Fields) -> Job:
    memory = given.text("memoryLimit")
    if memory:
        match = _MEMORY.match(memory)
        if not match or int(match[1]) * _UNITS[match[2] or ""] < _LEAST_MEMORY:
            raise SpecError(
                f"{given.at('memoryLimit')} is {memory!r}; write it like 512Mi or 2Gi, and give "
                "at least 16Mi, since an idle process takes about 10"
            )
    return Job(memory, given.number("expectedSeconds", 1.0, 1e-6, 86_400))


def _scaling(given: Fields) -> Scaling:
    target, failure = given.child("target"), given.child("failureBrake")
    low = given.integer("minReplicas", 0, 0, 10_000)
    high = given.integer("maxReplicas", 10, 1, 10_000)
    if low > high:
        raise SpecError(
            f"{given.at('minReplicas')} is {low}, more than {given.at('maxReplicas')}, which is "
            f"{high}: raise the latter, or lower the former"
        )
    rules = given.child("behavior")
    return Scaling(
        low,
        high,
        Target(
            target.number("waitSeconds", 30, 1, 86_400),
            target.integer("utilizationPercent", 75, 1, 100) / 100,
        ),
        hpa.Behavior(
            _rules(rules.child("scaleUp"), hpa.UP), _rules(rules.child("scaleDown"), hpa.DOWN)
        ),
        brake.Policy(
            failure.integer("minimumJobs", 20, 1, 200),
            failure.integer("failedPercent", 50, 1, 100) / 100,
        ),
    )


def _rules(given: Fields, default: hpa.Rules) -> hpa.Rules:
    policies = tuple(
        hpa.Policy(
            item.choice("type", ("Pods", "Percent")),
            item.integer("value", 1, 1, 10_000),
            item.integer("periodSeconds", 15, 1, 1800),
        )
        for item in given.children("policies")
    )
    return hpa.Rules(
        given.integer("stabilizationWindowSeconds", default.window, 0, 3600),
        policies or default.policies,
        given.choice("selectPolicy", ("Max", "Min", "Disabled")),
        given.number("tolerance", default.tolerance, 0, 1),
    )


def _rollout(given: Fields) -> Rollout:
    return Rollout(
        given.integer("surgePercent", 25, 1, 100) / 100,
        given.integer("deadlineSeconds", 3600, 0, 604_800),
    )
