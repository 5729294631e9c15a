"""The command line: ``forq``.

Each command lives in a module of its own that is imported when the command is called, so that
``forq --help`` imports click and nothing else. The worker and other parts add their commands by
the entry-point group ``forq.commands``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line with `arguments` (``sys.argv`` when None), and exit with its code."""
    import sys  # noqa: PLC0415 - with the next line: an import of this package stays free of click

    from forq.cli.app import run  # noqa: PLC0415

    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))
