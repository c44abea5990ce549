"""Configuration: what is read from where, and what is said about what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from focus.service import config_text
from focus.service.comfort import TONES
from focus.service.config import ConfigurationError, Settings, load, section_model, unread
from focus.service.sections.rayo import RouteSettings
from focus.service.values import Address

GOOD = """\
[xmpp]
jid = "focus.example.org"
muc = "rooms.example.org"
secret = "s3cret"
"""


NETWORK = "must be a name, an address or a network, such as 10.0.5.0/24, without scheme and port"
NUMBER = "a telephone number is needed: +, digits and spaces, 20 characters at most"
ZONE = "must be as in POSIX' TZ, such as CET-1CEST,M3.5.0,M10.5.0/3; not a place's name"
ROOM = "must be a room, such as tea@rooms.example.net, or a chat service, such as rooms.example.net"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "focus.toml"


def faults(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load(file)
    assert raised.value.exit_code == 78
    return [fault.removeprefix(f"{file}: ") for fault in raised.value.faults]


def test_what_is_not_said_has_a_default(file: Path) -> None:
    file.write_text(GOOD)
    settings = load(file)
    assert settings.xmpp.secret.get_secret_value() == "s3cret"
    assert (settings.domain, settings.guests) == ("example.org", "guest.example.org")
    assert settings.http.listen == Address("127.0.0.1", 8080)
    assert settings.media.addresses == ("auto",)
    assert not settings.conference.strangers


def test_the_environment_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(GOOD + '[media]\nport = 1\npublic_addresses = ["192.0.2.1", "2001:DB8::0:1", "meet.example.org"]\n')
    monkeypatch.setenv("FOCUS_MEDIA__PORT", "20000")
    monkeypatch.setenv("FOCUS_MEDIA__ADDRESSES", "192.0.2.2, 2001:db8::1")
    monkeypatch.setenv("FOCUS_HTTP__LISTEN", "[::1]:80")
    monkeypatch.setenv("FOCUS_XMPP__SECRET", "other")
    settings = load(file)
    assert settings.media.port == 20000
    assert settings.media.addresses == ("192.0.2.2", "2001:db8::1")
    assert settings.media.public_addresses == ("192.0.2.1", "2001:db8::1", "meet.example.org")
    assert settings.http.listen == Address("::1", 80)
    assert settings.xmpp.secret.get_secret_value() == "other"


def test_a_secret_can_lie_in_a_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from file\n")
    file.write_text(GOOD.replace('secret = "s3cret"', f'secret_file = "{tmp_path}/secret"'))
    assert load(file).xmpp.secret.get_secret_value() == "from file"


def test_a_secret_is_never_shown(file: Path) -> None:
    file.write_text(GOOD)
    assert "s3cret" not in repr(load(file))
    assert all("12345" not in fault for fault in faults(file, GOOD.replace('"s3cret"', "12345")))


@pytest.mark.parametrize(
    ("section", "line", "fault"),
    [
        ("media", "port = 99999", "[media] port: must be at most 65535 (got 99999)"),
        ("media", "port = -1", "[media] port: must be at least 0 (got -1)"),
        ("media", 'port = "many"', "[media] port: must be a whole number (got 'many')"),
        ("media", "loudest = 65", "[media] loudest: must be at most 64 (got 65)"),
        ("media", "agc = 2", "[media] agc: must be true or false (got 2)"),
        ("media", "shards = 0", "[media] shards: must be at least 1 (got 0)"),
        (
            "media",
            "port = 65534\nshards = 3",
            "[media] shards: leaves the last without a port; the highest is 65535 (got 3)",
        ),
        ("media", "port = 1.5", "[media] port: must be a whole number (got 1.5)"),
        ("media", "addresses = []", "[media] addresses: must not be empty (got [])"),
        (
            "media",
            'addresses = ["auto", "nowhere"]',
            "[media] addresses: must be 'auto' or an IP address of this machine (got 'nowhere')",
        ),
        ("media", "codecs = []", "[media] codecs: must not be empty (got [])"),
        ("media", 'codecs = ["opus", "opus"]', "[media] codecs: must name each once (got ['opus', 'opus'])"),
        ("media", 'codecs = ["G722"]', "[media] codecs: must be one of 'opus', 'PCMU' or 'PCMA' (got 'G722')"),
        (
            "media",
            'public_addresses = ["x"]',
            "[media] public_addresses: must be an IP address, or a name such as meet.example.org (got 'x')",
        ),
        (
            "media",
            'public_addresses = ["203.0.113.7:10000"]',
            "[media] public_addresses: must be an IP address, or a name such as meet.example.org "
            "(got '203.0.113.7:10000')",
        ),
        (
            "media",
            'public_addresses = ["203.0.113.300"]',
            "[media] public_addresses: is no IP address, and no name either (got '203.0.113.300')",
        ),
        *(
            (
                "media",
                f'public_addresses = ["{address}"]',
                f"[media] public_addresses: must be an address by which callers reach this machine (got '{address}')",
            )
            for address in ("0.0.0.0", "::", "fe80::1", "2001:db8::1%eth0", "224.0.0.1")
        ),
        (
            "conference",
            f"invite = {[f'user{number}@example.org' for number in range(101)]}",
            "[conference] invite: must have at most 100 entries "
            "(got ['user0@example.org', 'user1@example.org', 'user2@example.org', 'user3@exampl...)",
        ),
        (
            "media",
            'addresses = ["10.0.0.2"]\npublic_addresses = ["203.0.113.7", "2001:db8::7"]',
            "[media] public_addresses: has 2001:db8::7, and addresses none of the same version, to which it could "
            "lead; add one there, or leave this one out "
            "(got ['203.0.113.7', '2001:db8::7'])",
        ),
        ("media", "prot = 1", "[media] prot: is not a known key; is it 'port'?"),
        (
            "http",
            'listen = "8080"',
            "[http] listen: must be HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080 (got '8080')",
        ),
        ("http", 'listen = "[x]:1"', "[http] listen: must have an IPv6 address between the brackets (got '[x]:1')"),
        *(
            (
                "conference",
                f'telephone = "{uri}"',
                f"[conference] telephone: must be like tel:+49-30-123456 (got '{uri}')",
            )
            for uri in ("+49-30-123456", "tel:123456", "tel:+", "tel:+49 30 123456", "sip:tea@example.org")
        ),
        ("http", 'websocket = "http://x"', "[http] websocket: must be a ws:// or wss:// URL (got 'http://x')"),
        (
            "http",
            'origins = ["example.org"]',
            "[http] origins: must be '*' or an origin such as https://www.example.org (got 'example.org')",
        ),
        ("http", 'guests = "a@b"', "[http] guests: must be a domain, such as focus.example.org (got 'a@b')"),
        ("conference", 'strangers = "perhaps"', "[conference] strangers: must be true or false (got 'perhaps')"),
        ("summoning", 'rooms = ["@"]', "[summoning] rooms: must be a JID, such as romeo@example.org (got '@')"),
        ("summoning", 'users = ["@"]', "[summoning] users: must be a JID, such as romeo@example.org (got '@')"),
        ("ringing", "pauses = [0.5]", "[ringing] pauses: must be at least 1 (got 0.5)"),
        ("ringing", 'users = ["@"]', "[ringing] users: must be a JID, such as romeo@example.org (got '@')"),
        (
            "conference",
            'invite = ["a@b/c"]',
            "[conference] invite: must be a JID without a resource, such as romeo@example.org (got 'a@b/c')",
        ),
        ("conference", 'linger = "long"', "[conference] linger: must be a number (got 'long')"),
        (
            "rayo",
            'controllers = ["a@b/c"]',
            "[rayo] controllers: must be a JID without a resource, such as romeo@example.org (got 'a@b/c')",
        ),
        ("rayo", "controllers = 7", "[rayo] controllers: must be a list (got 7)"),
        (
            "log",
            'level = "loud"',
            "[log] level: must be one of 'debug', 'info', 'warning' or 'error' (got 'loud')",
        ),
        *(
            ("fetch", f"allow = ['{name}']", f"[fetch] allow: {NETWORK} (got '{name}')")
            for name in ("http://127.0.0.1", "a b", "", "*", "files.example.org:8080", "10.0.0.300", "10.0.5.0/33")
        ),
        ("fetch", "folders = ['relative']", "[fetch] folders: must be an absolute path (got 'relative')"),
        ("fetch", "folders = ['/', '/dev/null/nothing']", "[fetch] folders: is not there (got '/dev/null/nothing')"),
        ("fetch", "folders = ['/etc/passwd']", "[fetch] folders: is not a folder (got '/etc/passwd')"),
        ("fetch", "timeout = 0", "[fetch] timeout: must be more than 0 (got 0)"),
        ("fetch", "max_size = 1_000_000_000_000", "[fetch] max_size: must be at most 10000000000 (got 1000000000000)"),
        ("recordings", "folder = '/etc/passwd'", "[recordings] folder: is not a folder (got '/etc/passwd')"),
        ("recordings", "folder = 'here'", "[recordings] folder: must be an absolute path (got 'here')"),
        ("recordings", "hook = '/bin/sh'", "[recordings] hook: needs folder (got '/bin/sh')"),
        ("recordings", "days = 3", "[recordings] days: needs folder (got 3)"),
        *(
            ("recordings", f"folder = '/tmp'\nhook = '{hook}'", f"[recordings] hook: {why} (got '{hook}')")
            for hook, why in (
                ("/etc/passwd", "cannot be executed"),
                ("/etc", "is not a program"),
                ("/dev/null/nothing", "is not there"),
                ("upload", "must be an absolute path"),
            )
        ),
        *(
            ("fax", f"identity = '{identity}'", f"[fax] identity: {NUMBER} (got '{identity}')")
            for identity in ("Müller", "+39 045 8077500 123456")
        ),
        *(
            ("fax", f"timezone = '{zone}'", f"[fax] timezone: {ZONE} (got '{zone}')")
            for zone in ("Europe/Rome", "nonsense zone", "CET")
        ),
        *(
            ("piper", f"program = '{program}'", f"[piper] program: {why} (got '{program}')")
            for program, why in (
                ("/etc/passwd", "cannot be executed"),
                ("/dev/null/nothing", "is not there"),
                ("piper", "must be an absolute path"),
            )
        ),
        ("recordings", "folder = '/tmp'\ndays = 0", "[recordings] days: must be more than 0 (got 0)"),
        (
            "conference",
            "invite = ['nobody']",
            "[conference] invite: must be an account, such as romeo@example.org (got 'nobody')",
        ),
        ("recordings", "folder = '/tmp'\ndays = true", "[recordings] days: must be a number (got True)"),
        *(
            ("summoning", f"rooms = ['{room}']", f"[summoning] rooms: {ROOM} (got '{room}')")
            for room in ("tea", "*", "*.example.org")
        ),
        ("ringing", "users = ['b@@c']", "[ringing] users: must be a JID, such as romeo@example.org (got 'b@@c')"),
        ("media", "agc = 'yes'", "[media] agc: must be true or false (got 'yes')"),
        ("ringing", "call_invites = 1", "[ringing] call_invites: must be true or false (got 1)"),
        ("media", "port = true", "[media] port: must be a whole number (got True)"),
        ("ringing", "patience = true", "[ringing] patience: must be a number (got True)"),
        (
            "http",
            'listen = "0.0.0.0:5280"',
            "[http] websocket: leads back to the page, which listens on 0.0.0.0:5280 "
            "(got 'ws://127.0.0.1:5280/xmpp-websocket')",
        ),
        (
            "http",
            'listen = "127.0.0.1:9110"',
            "[metrics]: cannot listen on 127.0.0.1:9110, as [http] listens on 127.0.0.1:9110",
        ),
        (
            "metrics",
            'listen = "localhost:8080"',
            "[metrics]: cannot listen on localhost:8080, as [http] listens on 127.0.0.1:8080",
        ),
        (
            "http",
            'guests = "rooms.example.org"',
            "[http]: guests must be another domain than jid and muc of [xmpp] (got 'rooms.example.org')",
        ),
        ("confrence", "", "[confrence]: is not a known section; is it 'conference'?"),
        ("zzz", "", "[zzz]: is not a known section"),
    ],
)
def test_a_fault_is_one_line_with_its_place(file: Path, section: str, line: str, fault: str) -> None:
    assert faults(file, f"{GOOD}\n[{section}]\n{line}\n") == [fault]


def test_all_faults_are_said_at_once(file: Path) -> None:
    assert faults(file, "[xmpp]\nhost = ''\n[log]\nlevel = 'x'\n") == [
        "[xmpp] jid: must be given",
        "[xmpp] secret: must be given, here or as secret_file",
        "[xmpp] host: must not be empty (got '')",
        "[xmpp] muc: must be given",
        "[log] level: must be one of 'debug', 'info', 'warning' or 'error' (got 'x')",
    ]


def test_faults_of_the_secret_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    given = GOOD + f'secret_file = "{tmp_path}/empty"\n'
    assert faults(file, given) == ["[xmpp] secret: is given twice, here and as secret_file"]
    only = given.replace('secret = "s3cret"\n', "")
    assert faults(file, only) == [f"[xmpp] secret: cannot be read from secret_file {tmp_path}/empty: it is empty"]
    assert faults(file, only.replace("empty", "none")) == [
        f"[xmpp] secret: cannot be read from secret_file {tmp_path}/none: No such file or directory"
    ]


def test_what_is_no_configuration_at_all(file: Path, tmp_path: Path) -> None:
    assert faults(file, "") == ["[xmpp]: this section must be given"]
    assert faults(file, "port = 3\n")[0].startswith("port: is outside of any section; known sections are [xmpp], ")
    assert faults(file, "[xmpp\n")[0].startswith("is not TOML: ")
    with pytest.raises(ConfigurationError, match=r"none: cannot be read: No such file"):
        load(tmp_path / "none")


def test_a_fault_of_the_environment_is_called_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOCUS_MEDIA__PORT", "x")
    monkeypatch.setenv("FOCUS_HTTP__TITEL", "x")
    assert faults(file, GOOD) == [
        "environment: FOCUS_MEDIA__PORT: must be a whole number (got 'x')",
        "environment: FOCUS_HTTP__TITEL: is not a known key; is it 'title'?",
    ]


def test_a_variable_of_no_section_is_named_with_the_nearest_right_name(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOCUS_MEDAI__PORT", "1")
    monkeypatch.setenv("FOCUS_ZZZ__X", "1")
    monkeypatch.setenv("FOCUS_LOG", "debug")
    monkeypatch.setenv("FOCUS_LGO__LEVEL", "")
    file.write_text(GOOD)
    with pytest.raises(ConfigurationError) as raised:
        load(file)
    assert raised.value.faults == [
        "environment: FOCUS_MEDAI__PORT: is not a known option; is it FOCUS_MEDIA__PORT?",
        "environment: FOCUS_ZZZ__X: is not a known option",
        "environment: FOCUS_LOG: is a section; its keys are FOCUS_LOG__KEY",
    ]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        (
            "FOCUS_METRICS",
            "[metrics]\nlisten = '127.0.0.1:8080'",
            "[metrics]: cannot listen on 127.0.0.1:8080, as [http] listens on 127.0.0.1:8080",
        ),
        ("FOCUS_MEDIA__PORT", "[media]\nport = -1", "[media] port: must be at least 0 (got -1)"),
        ("FOCUS_ROUTES", "[routes]", "[routes]: must be written [[routes]], as there may be several"),
    ],
)
def test_an_empty_variable_has_no_faults(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, fault: str
) -> None:
    monkeypatch.setenv(name, "")
    assert faults(file, f"{GOOD}{text}\n") == [fault]


def test_a_fault_of_the_file_is_not_of_a_variable_of_another_program(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOCUS_PHONE", "x")
    monkeypatch.setenv("FOCUS_ROUTES_PORT", "tcp://10.0.0.1:80")
    assert faults(file, f"{GOOD}[phone]\n[routes]\n") == [
        "[routes]: must be written [[routes]], as there may be several",
        "[phone]: is not a known section",
    ]


def test_an_option_with_an_underscore_too_few_is_warned_of(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FOCUS_XMPP_SECRET", "focus_http_frameancestors", "FOCUS_XMPP_SECERT", "FOCUS_RAYO_ACCOUNT"):
        monkeypatch.setenv(name, "x")
    file.write_text(GOOD)
    load(file)
    assert unread() == [
        "environment: FOCUS_XMPP_SECRET: is not read; is it FOCUS_XMPP__SECRET?",
        "environment: focus_http_frameancestors: is not read; is it FOCUS_HTTP__FRAME_ANCESTORS?",
    ]


def test_what_kubernetes_says_of_services_is_not_warned_of(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for service, protocol in (("METRICS", "tcp"), ("XMPP", "tcp"), ("HTTP", "tcp"), ("MEDIA", "udp")):
        url = f"{protocol}://10.0.0.1:8080"
        port = f"FOCUS_{service}_PORT_8080_{protocol}".upper()
        monkeypatch.setenv(f"FOCUS_{service}_SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv(f"FOCUS_{service}_SERVICE_PORT", "8080")
        monkeypatch.setenv(f"FOCUS_{service}_SERVICE_PORT_{service}", "8080")
        monkeypatch.setenv(f"FOCUS_{service}_PORT", url)
        monkeypatch.setenv(port, url)
        for key, value in {"PROTO": protocol, "PORT": "8080", "ADDR": "10.0.0.1"}.items():
            monkeypatch.setenv(f"{port}_{key}", value)
    file.write_text(GOOD)
    load(file)
    assert unread() == []


@pytest.mark.parametrize(
    ("one", "other", "meets"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("0.0.0.0:80", "LOCALHOST:80", True),
        ("0.0.0.0:80", "[::]:80", False),
        ("[::]:80", "[::1]:80", True),
        ("[0:0::1]:80", "[::1]:80", True),
        ("[::]:80", "127.0.0.1:80", False),
    ],
)
def test_two_cannot_listen_on_one_address(one: str, other: str, meets: bool) -> None:
    assert Address.parse(one).meets(Address.parse(other)) == meets
    assert Address.parse(other).meets(Address.parse(one)) == meets


@pytest.mark.parametrize("section", ["http", "metrics"])
def test_what_is_not_served_needs_no_address(file: Path, section: str) -> None:
    file.write_text(
        f"{GOOD}[{section}]\nenabled = false\nlisten = '127.0.0.1:{8080 if section == 'metrics' else 9110}'\n"
    )
    load(file)


def test_a_component_and_its_rooms_have_domains_of_their_own(file: Path) -> None:
    fault = "[xmpp] muc: must be another domain than jid (got 'focus.example.org')"
    assert faults(file, GOOD.replace("rooms.", "focus.")) == [fault]


@pytest.mark.parametrize(
    ("jid", "muc", "domain", "key"),
    [
        ("focus.example.org", "example.org", "", "domain"),
        ("focus.example.org", "guest.example.org", "", "guests"),
        ("guest.example.org", "rooms.example.org", "", "guests"),
        ("focus.example.org", "guest.example.net", "domain = 'example.net'", "guests"),
    ],
)
def test_a_domain_that_is_not_given_is_another_one_too(file: Path, jid: str, muc: str, domain: str, key: str) -> None:
    taken = jid if jid.startswith("guest.") else muc
    fault = f"[http]: {key} must be another domain than jid and muc of [xmpp] (the default is {taken!r})"
    assert faults(file, f"[xmpp]\njid = '{jid}'\nmuc = '{muc}'\nsecret = 's'\n[http]\n{domain}\n") == [fault]


def test_a_domain_of_one_label_is_the_peoples_too(file: Path) -> None:
    file.write_text(GOOD.replace("focus.example.org", "localhost"))
    settings = load(file)
    assert (settings.domain, settings.guests) == ("localhost", "guest.localhost")


def test_rooms_are_named_or_have_an_address(file: Path) -> None:
    rooms = '[[rooms]]\nname = "Tea"\nstay = true\n[[rooms]]\nname = "Milk@Rooms.example.net"\n'
    file.write_text(f"{GOOD}{rooms}")
    assert [(room.name, room.stay) for room in load(file).rooms] == [("tea", True), ("milk@rooms.example.net", False)]
    for name in ("focus", "a b", "@example.org"):
        fault = f"[[rooms]] 1 name: must be the name of a room, or its address (got {name!r})"
        assert faults(file, f"{GOOD}[[rooms]]\nname = '{name}'\n") == [fault]


def test_a_room_is_given_once(file: Path) -> None:
    for other in ("tea", "TEA", "tea@rooms.example.org"):
        rooms = f"[[rooms]]\nname = 'tea'\n[[rooms]]\nname = '{other}'\n"
        assert faults(file, f"{GOOD}{rooms}") == ["[[rooms]]: tea is given more than once"]
    file.write_text(f"{GOOD}[[rooms]]\nname = 'tea'\n[[rooms]]\nname = 'tea@rooms.example.net'\n")
    assert len(load(file).rooms) == 2


def test_who_is_called_into_a_room_is_somebody(file: Path) -> None:
    fault = "[[rooms]] 1 invite: must be an account, such as romeo@example.org (got 'example.org')"
    assert faults(file, f"{GOOD}[[rooms]]\nname = 'tea'\ninvite = ['example.org']\n") == [fault]


def test_tables_that_are_repeated_do_not_come_from_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOCUS_ROOMS__0__NAME", "x")
    fault = "environment: FOCUS_ROOMS__0__NAME: [[rooms]] can only be given in the file"
    file.write_text(GOOD)
    with pytest.raises(ConfigurationError) as raised:
        load(file)
    assert raised.value.faults == [fault]


def test_lists_come_from_the_environment_with_commas(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file.write_text(GOOD)
    monkeypatch.setenv("FOCUS_FETCH__ALLOW", "files.example.org, 10.0.5.0/24, 2001:db8::1")
    monkeypatch.setenv("FOCUS_FETCH__FOLDERS", f"/, {tmp_path}")
    monkeypatch.setenv("FOCUS_MEDIA__AGC", "true")
    settings = load(file)
    assert settings.fetch.allow == ("files.example.org", "10.0.5.0/24", "2001:db8::1")
    assert settings.fetch.folders == (Path("/"), tmp_path)
    assert settings.media.agc


@pytest.mark.parametrize(
    "zone", ["UTC0", "EST5EDT", "NST3:30NDT2:30,M3.2.0/2,M11.1.0", "JST-9", "ABC-10DEF,J60,J300/1"]
)
def test_the_zone_of_faxes_is_of_posix(file: Path, zone: str) -> None:
    file.write_text(f"{GOOD}[fax]\ntimezone = '{zone}'\n")
    assert load(file).fax.timezone == zone


def test_routes_are_read_in_their_order(file: Path) -> None:
    file.write_text(
        GOOD
        + '[[routes]]\nmatch = "room-*"\n'
        + '[[routes]]\nmatch = "help"\nconference = "Tea"\n'
        + '[[routes]]\nmatch = "*"\nclients = ["A@example.org/Desk", "example.net"]\n'
        + 'distribution = "staged"\ntimeout = 5\n'
    )
    assert load(file).routes == (
        RouteSettings(match="room-*"),
        RouteSettings(match="help", conference="tea"),
        RouteSettings(match="*", clients=("a@example.org/Desk", "example.net"), distribution="staged", timeout=5),
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "[[routes]] 2 match: must be given"),
        ('match = ""', "[[routes]] 2 match: must not be empty (got '')"),
        ('match = "a"\nmatches = 1', "[[routes]] 2 matches: is not a known key; is it 'match'?"),
        ('match = "a"\nclients = ["@"]', "[[routes]] 2 clients: must be a JID, such as romeo@example.org (got '@')"),
        (
            'match = "a"\nclients = ["a@b"]\nconference = "tea"',
            "[[routes]] 2 clients: cannot be given together with conference (got ['a@b'])",
        ),
        (
            'match = "a"\nconference = "a b"',
            "[[routes]] 2 conference: must be the name of a room: the part of its address before the @ (got 'a b')",
        ),
        (
            'match = "a"\ndistribution = "random"',
            "[[routes]] 2 distribution: must be one of 'simultaneous' or 'staged' (got 'random')",
        ),
    ],
)
def test_faults_of_a_route_say_which_one(file: Path, line: str, fault: str) -> None:
    assert faults(file, f'{GOOD}[[routes]]\nmatch = "fine"\n[[routes]]\n{line}\n') == [fault]


def test_what_is_given_once_cannot_be_given_twice(file: Path) -> None:
    assert faults(file, f"{GOOD}[[rayo]]\n[[rayo]]\n")[0].startswith("rayo: is outside of any section")
    assert faults(file, f"{GOOD}[routes]\nmatch = 'x'\n") == [
        "[routes]: must be written [[routes]], as there may be several"
    ]


def test_the_example_is_a_good_configuration_with_the_defaults(file: Path) -> None:
    file.write_text(config_text.example())
    settings = load(file)
    assert settings == config_text.placeholder()


def test_the_example_names_and_explains_every_key() -> None:
    text = config_text.example()
    for section in Settings.model_fields:
        assert f"[{section}]" in text
        for key, option in section_model(section)[0].model_fields.items():
            assert f"{key} = " in text
            assert option.description
    assert "From 1 to 1000000." in text
    assert "More than 0, and at most 600." in text
    assert not re.search(r"\de\+", text)


EVERYTHING = """\
xmpp.jid = "focus.example.org"
xmpp.muc = "rooms.example.org"
xmpp.secret_file = "{secret}"
xmpp.host = "::1"
xmpp.port = 5348
xmpp.nick = "host"
media.addresses = ["auto"]
media.port = 0
media.shards = 2
media.realtime = false
media.loudest = 3
media.agc = true
media.codecs = ["PCMA"]
media.public_addresses = ["meet.example.org"]
http.enabled = false
http.listen = "[::1]:80"
http.domain = "example.org"
http.guests = "guest.example.org"
http.websocket = "wss://example.org/xmpp"
http.url = "https://meet.example.org"
http.title = "Tea"
http.origins = ["https://www.example.org"]
http.frame_ancestors = ["*"]
metrics.enabled = false
metrics.listen = "127.0.0.1:1"
conference.strangers = true
conference.several_devices = true
conference.linger = 1
conference.maximum_participants = 2
conference.invite = ["romeo@example.org"]
conference.telephone = "tel:+49-30-123456"
conference.announce = false
conference.coalesce = 0
summoning.rooms = ["tea@rooms.example.net"]
summoning.users = ["*"]
ringing.patience = 5
ringing.pauses = [1, 2.5]
ringing.call_invites = true
ringing.users = ["example.org"]
rayo.controllers = ["romeo@example.org"]
rayo.clients = ["example.org"]
rayo.call_ids = true
fetch.allow = ["10.0.5.0/24"]
fetch.folders = ["{folder}"]
fetch.max_size = 1000
fetch.timeout = 1
recordings.folder = "{folder}"
recordings.days = 1
recordings.hook = "{program}"
speech.processes = 2
speech.timeout = 10
piper.program = "{program}"
piper.voices = ["{folder}"]
fax.identity = "+390458077500"
fax.timezone = "CET-1CEST,M3.5.0,M10.5.0/3"
fax.ecm = false
fax.longest = 600
fax.pages = 5
fax.max_size = 1000
fax.preparation = 30
log.level = "error"
log.format = "json"
{limits}
[[rooms]]
name = "tea"
stay = true
invite = ["juliet@example.org"]
[[comfort]]
rooms = ["t*"]
keys = false
mute = "1"
hand = "2"
quieter = "3"
louder = "4"
count = "5"
help = "6"
leave = "7"
music = "{sound}"
music_after = 1
entry = "{sound}"
exit = "name"
tones_up_to = 1
notices = false
recordings = false
sounds = "{sounds}"
language = "de"
texts = {{ muted = "Sie sind stumm." }}
voice = "de"
[[routes]]
match = "support-*"
clients = ["night@example.org"]
distribution = "staged"
timeout = 1
fax = true
[[routes]]
match = "help"
conference = "tea"
"""


def test_every_key_of_every_section_can_be_given(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    places = {"secret": tmp_path / "secret", "folder": tmp_path, "program": "/bin/sh"}
    places |= {"sounds": TONES["entry"].parent, "sound": TONES["entry"]}
    names = section_model("limits")[0].model_fields
    limits = "\n".join(f"limits.{name} = {1 if name == 'load' else 7}" for name in names)
    file.write_text(EVERYTHING.format(**places, limits=limits))
    settings = load(file)
    for section in Settings.model_fields:
        model, is_repeated = section_model(section)
        tables = getattr(settings, section) if is_repeated else [getattr(settings, section)]
        given = {key for table in tables for key in table.model_fields_set}
        assert given >= model.model_fields.keys() - {"secret"}, section
    assert settings.piper.program == settings.recordings.hook == Path("/bin/sh")


@pytest.mark.parametrize("text", ["127.0.0.1:1", "[::1]:65535", "localhost:0", "meet.example.org:443"])
def test_an_address_survives_being_written(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize("text", ["", ":1", "a", "a:", "a:b", "a:65536", "::1:80", "[::1]", "[::1]:x", "a b:1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Address.parse(text)
