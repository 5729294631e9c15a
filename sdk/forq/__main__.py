"""``python -m forq``: the command line, for where no ``forq`` script is on the PATH."""

from __future__ import annotations

from forq.cli import main

if __name__ == "__main__":
    main()
