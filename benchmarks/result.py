"""What a benchmark hands back, and how it is shown: on a terminal, in Markdown, as JSON."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.workbench import Workbench

Cell = str | float | int | None


class Unavailable(Exception):
    """Something that a benchmark needs is not here; the text says what to install."""


@dataclass(frozen=True)
class Column:
    """A column's heading, and the format of its numbers."""

    name: str
    format: str = ""


@dataclass(frozen=True)
class Result:
    """A table, and what a reader must know to read it. raw: what was measured, as it came."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    raw: Sequence[object] = field(default=(), repr=False)

    def cells(self) -> list[list[str]]:
        """The rows as they are shown."""
        return [[_shown(cell, column) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows]

    def show(self, console: Console) -> None:
        table = Table(title=self.title, title_justify="left", title_style="bold", caption_justify="left")
        for n, column in enumerate(self.columns):
            table.add_column(column.name, justify="right" if self._numeric(n) else "left")
        for row in self.cells():
            table.add_row(*row)
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}", style="dim", highlight=False, markup=False)
        console.print()

    def markdown(self) -> str:
        lines = [f"### {self.title}", ""]
        lines.append("| " + " | ".join(column.name for column in self.columns) + " |")
        lines.append("|" + "|".join("---:" if self._numeric(n) else "---" for n in range(len(self.columns))) + "|")
        lines += ["| " + " | ".join(row) + " |" for row in self.cells()]
        lines += [""] * bool(self.notes) + [f"* {note}" for note in self.notes]
        return "\n".join(lines)

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "columns": [column.name for column in self.columns],
            "rows": [list(row) for row in self.rows],
            "notes": list(self.notes),
            "raw": list(self.raw),
        }

    def _numeric(self, n: int) -> bool:
        return any(isinstance(row[n], int | float) for row in self.rows)


def _shown(cell: Cell, column: Column) -> str:
    if cell is None:
        return "-"
    return cell if isinstance(cell, str) else format(cell, column.format)


@dataclass(frozen=True)
class Benchmark:
    """A name for the command line, a line for --list, and the function that measures."""

    name: str
    summary: str
    run: "Callable[[Workbench], Result]"
