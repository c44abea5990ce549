"""What is said of engines that the configuration wants and the machine does not have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from focus.engines.spandsp import isolation
from focus.engines.spandsp.isolation import check_isolation
from focus.service.config import load
from focus.service.faxing import FaxSettings, fax_machine
from focus.service.missing import missing
from tests.service.test_config import GOOD


def focus(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error, of a process that loads libraries by its own environment."""
    command = [sys.executable, "-m", "focus.service.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def said(file: Path, text: str) -> str:
    file.write_text(GOOD + text)
    return "\n".join(missing(load(file)))


def test_without_libspandsp_the_check_names_the_package_where_faxes_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libspandsp.so.2").write_text("not an engine")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    file = tmp_path / "focus.toml"
    file.write_text(GOOD)
    assert focus("config", "check", str(file)) == (0, f"{file}: ok\n", "")
    file.write_text(GOOD + '[fax]\necm = false\n[[routes]]\nmatch = "fax"\nclients = ["a@example.org"]\nfax = true\n')
    code, output, warning = focus("config", "check", str(file))
    assert (code, output) == (0, f"{file}: ok\n")
    assert warning.startswith("warning: [fax], [[routes]]: nothing can be faxed (apt-get install libspandsp2)")
    assert warning.count("\n") == 1


def test_an_engine_that_does_not_start_is_told_of_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(isolation, "MEMORY", 64 << 20)
    check_isolation.cache_clear()
    file = tmp_path / "focus.toml"
    warning = said(file, "[fax]\necm = false\n")
    assert warning.startswith("[fax]: nothing can be faxed: the fax engine does not start: ")
    assert "512 MB of address space" in warning
    assert said(file, "") == ""
    assert fax_machine(FaxSettings()) is None
    assert "nothing is faxed until focus is started again: the fax engine does not start: " in caplog.text
    assert caplog.text.count("512 MB of address space") == 1
    monkeypatch.undo()
    assert fax_machine(FaxSettings()) is not None


def test_libraries_of_python_are_missed_where_they_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, speech = tmp_path / "focus.toml", "[speech]\nprocesses = 2\n"
    assert said(file, f'{speech}[fax]\nidentity = "+390458077500"\n') == ""
    monkeypatch.setattr(sys, "path", [])
    for module in ("PIL", "pypdfium2", "pocketsphinx", "webrtcvad"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    assert said(file, speech) == (
        "[speech]: no speech is recognized without pocketsphinx and webrtcvad (focus-conference[speech])"
    )
    assert "without PIL and pypdfium2 (focus-conference[fax])" in said(file, "[fax]\necm = true\n")
    assert said(file, "[speech]\nprocesses = 0\n") == ""
    assert said(file, "") == ""


def test_piper_is_missed_where_it_has_voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    voices = f'[piper]\nvoices = ["{tmp_path}"]\n'
    assert said(tmp_path / "focus.toml", voices).startswith("[piper]: piper is not on the path")
    assert said(tmp_path / "focus.toml", f'{voices}program = "/bin/sh"\n') == ""
