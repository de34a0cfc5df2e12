"""Calls as Python text, laid out as a formatter would leave them."""

from __future__ import annotations

import dataclasses

WIDTH = 110


@dataclasses.dataclass(frozen=True)
class Call:
    """A call, or a list: what opens it, its arguments, what closes it."""

    opens: str
    arguments: tuple[str | Call, ...]
    closes: str = ")"

    def flat(self) -> str:
        """Spell it on one line."""
        return self.opens + ", ".join(_flat(one) for one in self.arguments) + self.closes

    def laid_out(self, indent: int) -> str:
        """Spell it on one line where that fits, else an argument a line; lines after the first bear no indent yet."""
        flat = self.flat()
        if (len(flat) + indent <= WIDTH and "\n" not in flat) or not self.arguments:
            return flat
        inner = [
            one.laid_out(indent + 4).replace("\n", "\n    ") if isinstance(one, Call) else one
            for one in self.arguments
        ]
        together = ", ".join(inner)
        if len(together) + indent + 4 <= WIDTH and "\n" not in together:
            return f"{self.opens}\n    {together}\n{self.closes}"
        lines = "".join(f"    {one},\n" for one in inner)
        return f"{self.opens}\n{lines}{self.closes}"


def _flat(one: str | Call) -> str:
    return one.flat() if isinstance(one, Call) else one


def call(opens: str, /, *arguments: str | Call, **named: str | Call | None) -> Call:
    """Make a call; keyword arguments that are None are left out."""
    keywords: list[str | Call] = []
    for key, value in named.items():
        if isinstance(value, Call):
            keywords.append(dataclasses.replace(value, opens=f"{key}={value.opens}"))
        elif value is not None:
            keywords.append(f"{key}={value}")
    return Call(f"{opens}(", (*arguments, *keywords))


def listing(items: list[str | Call]) -> Call:
    """Make a list."""
    return Call("[", tuple(items), "]")


def python(text: str) -> str:
    """Spell a Python string: in double quotes, or in single ones where that takes fewer backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    plain = text.replace("\\", "\\\\").replace(quote, f"\\{quote}").replace("\n", "\\n").replace("\t", "\\t")
    return f"{quote}{plain}{quote}"
