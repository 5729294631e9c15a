"""Several transitions as one call, so that a worker of many queues is no louder than one of one.

Not on Cluster, where a script touches one queue. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forq.store.command import Argument, Command

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The scripts that can be carried out together.
TOGETHER = ("claim", "recover", "maintain")


class Together:
    """What may be asked about many queues at once."""

    @staticmethod
    def together(commands: Sequence[Command[Any]]) -> Command[list[Any]]:
        """Carry out claims, recoveries and maintenance, in order; return their raw replies.

        A reply is an exception where a queue refused; the others are carried out all the same.
        """
        keys: list[str] = []
        args: list[Argument] = []
        for command in commands:
            if command.script not in TOGETHER:
                raise ValueError(f"{command.script or command.args} cannot be called with others")
            keys += command.keys
            args += (command.script, len(command.args), *command.args)
        return Command("together", tuple(keys), tuple(args), list)
