"""Make the certificates of one cluster, with openssl: an authority and what it signs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.cluster.places import API_SERVICE, DOMAIN, NODE, NODE_NAME, PKI
from tests.cluster.programs import run

_DAYS = "3650"
_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
#: Python 3.13 refuses certificates without these.
_AUTHORITY = """basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
"""
_SIGNED = """basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth, serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
"""


@dataclass(frozen=True)
class _Identity:
    name: str
    subject: str
    also: str = ""


_API_NAMES = (
    *(
        f"DNS:{name}"
        for name in (
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{DOMAIN}",
            "localhost",
        )
    ),
    *(f"IP:{address}" for address in ("127.0.0.1", NODE, API_SERVICE)),
)
_IDENTITIES = (
    _Identity("apiserver", "/CN=kube-apiserver", ",".join(_API_NAMES)),
    # The API server calls the kubelet with it: for logs and exec.
    _Identity("apiserver-kubelet", "/O=system:masters/CN=apiserver-kubelet"),
    _Identity("admin", "/O=system:masters/CN=admin"),
    _Identity("controller-manager", "/CN=system:kube-controller-manager"),
    _Identity("scheduler", "/CN=system:kube-scheduler"),
    _Identity("proxy", "/CN=system:kube-proxy"),
    _Identity("coredns", "/CN=system:coredns"),
    _Identity("kubelet", f"/O=system:nodes/CN=system:node:{NODE_NAME}", f"IP:{NODE}"),
)


def make() -> None:
    """Make all keys and certificates: `ca`, one pair for each identity, and service-account."""
    PKI.mkdir(parents=True, exist_ok=True)
    PKI.chmod(0o700)
    _certificate(_Identity("ca", "/CN=forq test cluster"))
    for identity in _IDENTITIES:
        _certificate(identity, signed_by="ca")
    key = PKI / "service-account.key"
    curve = "ec_paramgen_curve:prime256v1"
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", key])
    run(["openssl", "pkey", "-in", key, "-pubout", "-out", PKI / "service-account.pub"])


def _certificate(identity: _Identity, signed_by: str = "") -> None:
    wishes = PKI / f"{identity.name}.cnf"
    names = f"subjectAltName = {identity.also}\n" if identity.also else ""
    wishes.write_text(
        "[req]\nprompt = no\ndistinguished_name = subject\nx509_extensions = wishes\n"
        f"[subject]\n[wishes]\n{_SIGNED if signed_by else _AUTHORITY}{names}",
        encoding="utf-8",
    )
    signer = (
        ["-CA", f"{PKI}/{signed_by}.crt", "-CAkey", f"{PKI}/{signed_by}.key"] if signed_by else []
    )
    run(
        [
            *("openssl", "req", "-x509", *_NEW_KEY, "-days", _DAYS, *signer),
            *("-config", str(wishes), "-subj", identity.subject),
            *("-keyout", f"{PKI}/{identity.name}.key", "-out", f"{PKI}/{identity.name}.crt"),
        ]
    )
    wishes.unlink()
