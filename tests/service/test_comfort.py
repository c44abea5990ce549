"""The section [[comfort]]: what each room has by it, and what is refused."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from focus.conference.comfort import NAME, TEXTS, Action, Comfort
from focus.media.files import read_audio
from focus.service.comfort import TONES, ComfortSettings, comforts, sound_files
from focus.service.config import ConfigurationError, load
from focus.wire.jid import JID

GOOD = '[xmpp]\njid = "focus.example.org"\nmuc = "rooms.example.org"\nsecret = "s3cret"\n'


def faults(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load(file)
    return [fault.removeprefix(f"{file}: ") for fault in raised.value.faults]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Has two sounds in `sounds`, two of one name in `twice`, none in `empty`; `broken.wav` and `text.txt` are none."""
    (tmp_path / "sounds").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "twice").mkdir()
    for name in ("sounds/a.wav", "sounds/b.wav", "twice/a.wav", "twice/a.wave"):
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(b"\1\0" * 800)
    (tmp_path / "text.txt").write_text("la la la")
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    return tmp_path


def room_of(name: str) -> JID:
    return JID(name, "rooms.example.org")


def test_a_room_has_the_first_table_that_its_name_matches(tmp_path: Path) -> None:
    file = tmp_path / "focus.toml"
    file.write_text(
        GOOD
        + '[[comfort]]\nrooms = "quiet-*, tea@rooms.example.net"\nkeys = false\n'
        + '[[comfort]]\nrooms = ["t*"]\nmute = "1"\nhand = ""\nleave = "#"\nlanguage = "de"\nentry = "name"\n'
    )
    comfort_of = comforts(load(file).comfort, "rooms.example.org")
    for quiet in (room_of("quiet-please"), JID("tea", "rooms.example.net")):
        assert comfort_of(quiet) == Comfort()
    tea = comfort_of(room_of("tea"))
    assert tea is not None
    assert (tea.language, tea.entry, tea.exit) == ("de", NAME, "")
    assert tea.keys == {
        Action.MUTE: "1", Action.QUIETER: "*7", Action.LOUDER: "*8", Action.COUNT: "*2", Action.HELP: "*1",
        Action.LEAVE: "#",
    }  # fmt: skip
    assert comfort_of(room_of("milk")) is None
    assert comfort_of(JID("tea", "elsewhere.example.org")) is None


def test_without_a_table_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "focus.toml").write_text(GOOD)
    assert comforts(load(tmp_path / "focus.toml").comfort, "rooms.example.org")(room_of("tea")) is None


def test_what_is_played_are_files_that_may_be_read(folder: Path) -> None:
    sounds = folder / "sounds"
    table = ComfortSettings.model_validate(
        {"music": sounds, "sounds": sounds, "entry": "tone", "exit": f"{sounds}/b.wav"}
    )
    comfort = table.comfort()
    uris = ((sounds / "a.wav").as_uri(), (sounds / "b.wav").as_uri())
    assert comfort.music == uris
    assert comfort.sounds == dict(zip("ab", uris, strict=True))
    assert (comfort.entry, comfort.exit) == (TONES["entry"].as_uri(), uris[1])
    files = [sounds / "a.wav", sounds / "b.wav"]
    assert sound_files([table]) == [*files, *files, TONES["entry"], sounds / "b.wav"]
    assert sum(map(len, read_audio(TONES["entry"]))) == sum(map(len, read_audio(TONES["exit"]))) == 24_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('music = "{folder}/nothing.ogg"', "music: {folder}/nothing.ogg is not there"),
        ('music = "music.ogg"', "music: must be an absolute path"),
        ('music = "{folder}/empty"', "music: there are no sounds in {folder}/empty"),
        ('music = "{folder}/text.txt"', "music: {folder}/text.txt cannot be played"),
        ('sounds = "{folder}"', "sounds: {folder}/broken.wav cannot be played"),
        ('sounds = "{folder}/twice"', "sounds: there are several sounds with the name a in {folder}/twice"),
        ('sounds = "{folder}/sounds/a.wav"', "sounds: is not a folder"),
        ('entry = "{folder}/empty"', "entry: {folder}/empty is not a file"),
        ('exit = "bell"', "exit: must be 'none', 'tone', 'name', or the absolute path of a sound"),
        ('mute = "star 6"', "mute: must be keys of a telephone, such as *6, 8 at most; or empty"),
        ('leave = "*6"', "leave: is the same as mute"),
        ('rooms = []', "rooms: must not be empty"),
        ('texts = {{ mute = "Stumm" }}', "texts: has 'mute', which is no text; there are welcome, muted"),
        ('texts = {{ joined = "{{nick}} ist da" }}', "texts: has {{nick}} in 'joined', where nothing is put"),
        ('language = "tlh-x"', "language: cannot be spoken with: no voice of espeak-ng speaks tlh-x"),
        ('voice = "hal9000"', "voice: cannot be spoken with: espeak-ng has no voice 'hal9000'"),
        ("tones_up_to = 0", "tones_up_to: must be at least 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_in_a_line(folder: Path, text: str, said: str) -> None:
    (fault,) = faults(folder / "focus.toml", f"{GOOD}[[comfort]]\n{text.format(folder=folder)}\n")
    where, _, words = said.format(folder=folder).partition(": ")
    assert fault.startswith(f"[[comfort]] 1 {where}: {words}")


def test_a_folder_of_sounds_has_nothing_else_in_it(folder: Path) -> None:
    (folder / "sounds" / "LICENSE.txt").write_text("You may")
    (fault,) = faults(folder / "focus.toml", f'{GOOD}[[comfort]]\nmusic = "{folder}/sounds"\n')
    assert "LICENSE.txt cannot be played" in fault
    assert "; there must be nothing but sounds" in fault


def test_a_table_that_no_room_can_have_is_refused(tmp_path: Path) -> None:
    assert faults(tmp_path / "focus.toml", f'{GOOD}[[comfort]]\n[[comfort]]\nrooms = ["tea"]\n') == [
        "[[comfort]]: table 1 is for all rooms, so that those behind it are never reached"
    ]


def test_without_espeak_nothing_can_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (fault,) = faults(tmp_path / "focus.toml", f"{GOOD}[[comfort]]\n")
    assert fault.startswith("[[comfort]] 1 language: nothing can be said: espeak-ng is not installed")
    assert "apt-get install espeak-ng" in fault


def test_the_documentation_has_every_text_and_option() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "rooms.md").read_text()
    for name in TEXTS:
        assert f"`{name}`" in text or name.startswith("help_"), name
    for option in ComfortSettings.model_fields:
        assert option in text, option
