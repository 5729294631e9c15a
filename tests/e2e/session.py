"""Run the tests on Kubernetes: ``python -m tests.e2e.session [ARGUMENTS OF PYTEST]``.

First those that can stand others beside them, two files at a time: mostly they wait. Then, one
after the other, those with the mark `alone`: what they do to the cluster or the operator, or
measure of them, allows for nobody else. The exit code is the first one of pytest that is not 0.
"""

from __future__ import annotations

import signal
import subprocess
import sys

_TESTS = ("-m", "pytest", "-p", "no:cacheprovider", "--verbose", "--durations=15")
_PARTS = (
    ("-m", "e2e and not alone", "-n", "2", "--dist", "loadfile"),
    ("-m", "e2e and alone", "-p", "no:xdist"),
)
_NONE_CHOSEN = 5
_INTERRUPTED = 2


def main() -> int:
    """Run both parts, with what the command line says."""
    codes = []
    for part in _PARTS:
        codes.append(_run([sys.executable, *_TESTS, *part, *sys.argv[1:]]))
        if codes[-1] == _INTERRUPTED:
            break
    if all(code == _NONE_CHOSEN for code in codes):
        return _NONE_CHOSEN
    return next((code for code in codes if code not in {0, _NONE_CHOSEN}), 0)


def _run(command: list[str]) -> int:
    # In a group of its own: Ctrl-C reaches it once, by this process, as a request to end does.
    with subprocess.Popen(command, process_group=0) as tests:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: tests.send_signal(signal.SIGINT))
        return tests.wait()


if __name__ == "__main__":
    sys.exit(main())
