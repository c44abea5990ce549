"""docs/conformance names what there is: each test and each file in the tables exists.

A table's last column has letters for files, which the text before the table gives: "`tests/mixer_ext/test_rtp.py` (P)".
After a letter come names of tests in that file, without their "test_", and with "…" for what is left out at an end.
Tests of the page stand in quotes, by their titles, where the text names their file: `web/tests/coin.test.ts`.
"""

import ast
import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLES = sorted((ROOT / "docs" / "conformance").glob("*.md"))

FILE = re.compile(r"[\w./-]+\.(?:pyx|pyi|pxd|py|md|toml)|(?:focus|mixer_ext|tests)(?:/[\w-]+)*/?")
NAME = re.compile(r"…?[a-z0-9_]*_[a-z0-9_]*…?|[a-z0-9]+…")
TITLE = re.compile(r"\bit(?:\.each\(.*?\))?\('([^']+)'", re.DOTALL)
QUOTED = re.compile(r'"([^"]+)"')
TOKEN = re.compile(r"`([^`]+)`|(?<![\w`'§-])([A-Z])(?![\w'-]|\.\d)")


@functools.cache
def functions(file: Path) -> frozenset[str]:
    """The tests in a file, without "test_"."""
    found = ast.walk(ast.parse(file.read_text()))
    names = (node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name.removeprefix("test_") for name in names if name.startswith("test_"))


def files_in(path: Path) -> list[Path]:
    return sorted(path.rglob("test_*.py")) if path.is_dir() else [path]


@functools.cache
def tracked() -> frozenset[str]:
    return frozenset(
        "/" + str(path.relative_to(ROOT))
        for folder in ("focus", "mixer_ext", "tests", "docs", "benchmarks")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".pyx", ".pyi", ".pxd", ".md", ".toml")
    )


def matches(wanted: str, name: str) -> bool:
    if wanted.endswith("…"):
        return name.startswith(wanted[:-1])
    return name.endswith(wanted[1:]) if wanted.startswith("…") else name == wanted


@dataclass
class Table:
    """What is wrong with one document."""

    text: str
    letters: dict[str, list[Path]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    tests: int = 0

    def __post_init__(self) -> None:
        before = [line for line in self.text.splitlines() if not line.startswith("|")]
        self._read_letters(" ".join(before))
        for line in self.text.splitlines():
            if line.startswith("|") and not line.startswith(("|---", "| Section", "| About", "| Paragraph")):
                self._check_cell(line.rstrip().removesuffix("|").rsplit(" | ", 1)[-1])
        for token in re.findall(r"`([^`]+)`", self.text):
            if FILE.fullmatch(token) and not self._exists(token):
                self.wrong.append(f"no file {token}")

    def _exists(self, token: str) -> bool:
        return (ROOT / token).exists() or any(path.endswith("/" + token.lstrip("./")) for path in tracked())

    def _read_letters(self, text: str) -> None:
        """A name without a folder is in that of the name before it; names with "and" between share a letter."""
        folder, waiting = ROOT, []
        for path, letter in re.findall(r"`((?:tests/)?[\w/-]*test[\w/-]*(?:\.py)?)`(?:\s+\(([A-Z])\b)?", text):
            full = ROOT / path if path.startswith("tests") else folder / path
            if not full.exists():
                continue
            folder = full.parent if full.suffix else full
            waiting.append(full)
            if letter:
                shared = waiting[-2:] if f"and `{path}` ({letter}" in text else waiting[-1:]
                self.letters[letter] = [file for each in shared for file in files_in(each)]

    def _check_cell(self, cell: str) -> None:
        if page := re.findall(r"`(web/tests/[\w.-]+\.test\.ts)`", self.text):
            titles = {title for name in page for title in TITLE.findall((ROOT / name).read_text())}
            self.wrong += [f"no test {title!r} of the page" for title in QUOTED.findall(cell) if title not in titles]
        files: list[Path] = []
        for quoted, letter in TOKEN.findall(cell):
            if letter:
                files = self.letters.get(letter, [])
                if not files:
                    self.wrong.append(f"no file for {letter} in: {cell}")
            elif quoted.startswith("tests/"):
                files = files_in(ROOT / quoted) if (ROOT / quoted).exists() else []
            elif re.fullmatch(r"test_\w+(?:\.py)?", quoted):
                name = quoted.removesuffix(".py") + ".py"
                folders = {file.parent for file in files}
                files = [file for file in (ROOT / "tests").rglob(name) if not folders or file.parent in folders]
                if not files:
                    self.wrong.append(f"no file {name} in: {cell}")
            elif NAME.fullmatch(quoted) and files:
                self.tests += 1
                if not any(matches(quoted, name) for file in files for name in functions(file)):
                    where = ", ".join(str(file.relative_to(ROOT)) for file in files)
                    self.wrong.append(f"no test {quoted} in {where}")


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_test_and_file_in_a_table_exists(path: Path) -> None:
    assert Table(path.read_text()).wrong == []


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_what_is_said_to_be_followed_says_where(path: Path) -> None:
    rows = [line.strip("| \n").split(" | ") for line in path.read_text().splitlines() if line.startswith("| ")]
    assert rows
    assert [row for row in rows if row[1].startswith(("yes", "nearly")) and row[-1] in ("\N{EN DASH}", "")] == []


def test_the_tables_name_tests() -> None:
    assert sum(Table(path.read_text()).tests for path in TABLES) > 400


def test_a_name_that_is_nowhere_is_found_out() -> None:
    head = "Code: `mixer_ext/rtp.pyx`. Tests: `tests/mixer_ext/test_rtp.py` (P), `test_srtp.py` (S).\n\n"
    assert Table(head + "| 1 | yes | P `padding_is_not…`; S `…opens_nothing` |").wrong == []
    for cell in ("S `padding_is_not…`", "X `padding_is_not…`", "P `paddings…`", "P `padding_is`", "`tests/nowhere.py`"):
        assert Table(f"{head}| 1 | yes | {cell} |").wrong
    head = "Tests: `web/tests/coin.test.ts`.\n\n"
    assert Table(f'{head}| 1 | yes | "nowhere" |').wrong
