"""Options that take several values one after the other, as ``--tags decision analysis``."""

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

_SEVERAL = frozenset({"--tags", "--processors"})


class Command(TyperCommand):
    """A command whose repeatable options also take several values at once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line, with every value behind its own option."""
        taking = {name for one in self.params if not getattr(one, "is_flag", True) for name in one.opts}
        wanted = sum(one.param_type_name == "argument" for one in self.params)
        return super().parse_args(ctx, spread(args, taking, wanted))


def spread(args: Sequence[str], taking: set[str], wanted: int) -> list[str]:
    """The same command line with ``--tags a --tags b`` for ``--tags a b``.

    Args:
        args: the command line.
        taking: the options that take a value.
        wanted: how many arguments without an option the command takes; until there are so many elsewhere, what
            follows a value is one of those.
    """
    told: list[tuple[str | None, str]] = []
    option: str | None = None
    value_of: str | None = None
    for place, word in enumerate(args):
        if word == "--":
            told += [(None, rest) for rest in args[place:]]
            break
        if value_of is not None:
            option, value_of = (value_of if value_of in _SEVERAL else None), None
            told.append(("", word))
        elif word.startswith("-") and word != "-":
            option, value_of = None, word if word in taking else None
            told.append(("", word))
        else:
            told.append((option, word))
    if sum(one is None for one, _ in told) < wanted:
        return list(args)
    return [part for one, word in told for part in ((one, word) if one else (word,))]
