"""`focus grammar`, and what docs/grammars.md says of it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from focus.service.cli import main

DOCUMENT = (Path(__file__).parents[2] / "docs" / "grammars.md").read_text()
FILES = dict(re.findall(r"`(\w+\.grxml)`:\n\n```xml\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE))
CONSOLE = re.findall(r"^```console\n\$ focus (.*?)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
START = '<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" root="r"'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        Path(name).write_text(content)


@pytest.mark.parametrize(("command", "output"), CONSOLE)
def test_the_document_shows_what_is_printed(
    command: str, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(shlex.split(command))
    printed = capsys.readouterr()
    assert (printed.out + printed.err).replace(tmp_path.as_posix(), "/…") == output
    assert code == (65 if "faulty" in command else 0)


def test_the_document_has_examples() -> None:
    assert len(CONSOLE) == 5
    assert set(FILES) == {"menu.grxml", "faulty.grxml"}


def test_json_is_a_line_for_each_input_with_these_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grammar", "menu.grxml", "--json", "--input", "1", "--input", "* 1", "--input", "1 1"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [list(line) for line in lines] == [["input", "match", "interpretation", "nlsml"]] * 3
    assert [line["input"] for line in lines] == ["1", "* 1", "1 1"]
    assert [line["match"] for line in lines] == ["match-end", "partial", "nomatch"]
    assert [line["interpretation"] for line in lines] == ["sales", None, None]
    assert [line["nlsml"] is None for line in lines] == [False, True, True]


def test_no_input_at_all_is_partial(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grammar", "builtin:dtmf/digits", "--json", "--input", "", "--input", " "]) == 0
    for line, text in zip(capsys.readouterr().out.splitlines(), ("", " "), strict=True):
        assert json.loads(line) == {"input": text, "match": "partial", "interpretation": None, "nlsml": None}


def test_the_mode_says_what_the_tokens_are(capsys: pytest.CaptureFixture[str]) -> None:
    Path("g").write_text(f'{START}><rule id="r">12 #</rule></grammar>')
    assert main(["grammar", "g", "--mode", "dtmf", "--input", "1 2 #"]) == 0
    assert main(["grammar", "g", "--mode", "voice", "--input", "12 #", "--input", "1 2 #"]) == 0
    assert capsys.readouterr().out == "1 2 #: match-end, 1 2 #\n12 #: match-end, 12 #\n1 2 #: nomatch\n"


def test_words_are_separated_by_space(capsys: pytest.CaptureFixture[str]) -> None:
    Path("g").write_text(f'{START} mode="voice" xml:lang="en"><rule id="r">"New York" please</rule></grammar>')
    assert main(["grammar", "g", "--input", "new york Please!", "--input", "newyork please"]) == 0
    assert capsys.readouterr().out == "new york Please!: match-end, new york please\nnewyork please: nomatch\n"


def test_words_that_cannot_be_recognized_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("g").write_text(f'{START} xml:lang="en"><rule id="r">yes xyzzyq</rule></grammar>')
    Path("known").write_text(f'{START} xml:lang="en"><rule id="r">yes</rule></grammar>')
    assert main(["grammar", "known", "g", "--input", "yes"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "yes: match, yes\n"
    unknown = "pocketsphinx does not know how these words sound: 'xyzzyq'"
    assert printed.err == f"g: cannot be recognized in speech: {unknown}\n"


def test_several_files_count_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grammar", "menu.grxml", "builtin:dtmf/digits?length=2", "--input", "1", "--input", "12"]) == 0
    assert capsys.readouterr().out == "1: match, sales\n12: match-end, 12\n"


def test_other_documents_are_read_from_files_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a folder").mkdir()
    Path("a folder/main").write_text(
        f'{START} mode="dtmf"><rule id="r">#<ruleref uri="../menu.grxml"/></rule></grammar>'
    )
    assert main(["grammar", "a folder/main", "--input", "#1"]) == 0
    assert capsys.readouterr().out == "#1: match-end, sales\n"


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("nowhere", "No such file or directory"),
        ("http://127.0.0.1:9/x", "only files are read here"),
        ("file://example.org/x", "only files are read here"),
        ("file:///%00", "embedded null byte"),
    ],
)
def test_a_document_that_is_not_there_is_one_line(reference: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("g").write_text(f'{START} mode="dtmf">\n<rule id="r"><ruleref uri="{reference}"/></rule></grammar>')
    assert main(["grammar", "g"]) == 65
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("g:2:14: ")
    assert line.endswith(f"cannot be fetched: {why}")


def test_a_fault_of_another_document_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("g").write_text(f'{START} mode="dtmf"><rule id="r"><ruleref uri="faulty.grxml"/></rule></grammar>')
    assert main(["grammar", "g", "--input", "1", "--json"]) == 65
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"{tmp_path.as_uri()}/faulty.grxml:2:19: <item>: repeat '4-2' ends before it begins\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["https://example.org/x.grxml"], 66, "focus: https://example.org/x.grxml: only files are read here"),
        (["nowhere.grxml"], 66, "focus: nowhere.grxml: No such file or directory"),
        (["."], 66, "focus: .: Is a directory"),
        ([], 64, "Missing argument 'FILE...'"),
        (["menu.grxml", "--mode", "smell"], 64, "Invalid value for '--mode'"),
        (["menu.grxml", "--mode", "voice"], 65, "menu.grxml:1:1: <grammar>: its mode is 'dtmf', but 'voice' is wanted"),
        (["menu.grxml", "words"], 65, "words: all grammars must be of the same mode"),
        (["empty"], 65, "empty:1:1: not well-formed: no element found"),
        (["bytes"], 65, "bytes:1:2: not well-formed"),
        (["builtin:dtmf/colour"], 65, "builtin:dtmf/colour:1:1: 'builtin:dtmf/colour': there is no such grammar"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("words").write_text(f'{START}><rule id="r">one</rule></grammar>')
    Path("empty").touch()
    Path("bytes").write_bytes(b"\xff\xfe\0")
    assert main(["grammar", *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_scripts_are_remarked_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Path("g").write_text(
        f'{START} mode="dtmf" tag-format="semantics/1.0"><rule id="r">1<tag>out=2</tag></rule></grammar>'
    )
    assert main(["grammar", "g", "--input", "1", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["interpretation"] == "1"
    assert printed.err.startswith("g: tag-format semantics/1.0: scripts are not run")


def test_an_argument_that_is_no_text_is_an_input_like_others(capsys: pytest.CaptureFixture[str]) -> None:
    Path("g").write_text(f'{START}><rule id="r"><ruleref special="GARBAGE"/>é</rule></grammar>', encoding="utf-8")
    assert main(["grammar", "g", "--input", "\udcff é"]) == 0
    assert main(["grammar", "g", "--input", "\udcff é", "--json"]) == 0
    readable, line = capsys.readouterr().out.splitlines()
    assert readable == "? é: match, ? é"
    assert json.loads(line)["input"] == "\udcff é"
    assert "\ufffd é</input>" in json.loads(line)["nlsml"]


def test_a_document_without_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grammar", "/dev/zero"]) == 65
    assert "longer than" in capsys.readouterr().err
