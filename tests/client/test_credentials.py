"""Who a Rayo client is, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from focus.client import JID, Credentials, RayoClient
from focus.client.connection import Account

ENOUGH = {"FOCUS_RAYO_ACCOUNT": "ivr@example.org/desk", "FOCUS_RAYO_PASSWORD": "secret"}


def test_an_account_and_a_password_are_enough() -> None:
    found = Credentials.from_environment(ENOUGH)
    assert found.account == Account(JID.parse("ivr@example.org/desk"), "secret")
    assert found.service == JID.parse("focus.example.org")
    assert RayoClient.from_environment(ENOUGH).service == found.service


def test_addresses_are_as_servers_write_them() -> None:
    found = Credentials.from_environment(ENOUGH | {"FOCUS_RAYO_ACCOUNT": "Ivr@Straße.Example.ORG./Desk"})
    assert str(found.account.jid) == "ivr@strasse.example.org/Desk"
    assert str(found.service) == "focus.strasse.example.org"
    assert RayoClient("Ivr@EXAMPLE.org", "x").service == JID("", "focus.example.org")
    assert RayoClient("ivr@example.org", "x", "[2001:DB8::1]").service == JID("", "[2001:db8::1]")


@pytest.mark.parametrize("wrong", ["a@b@c", "a b@c", "a@b c", "a@b:5222", "a@-b", "a@b..c", "a@", "a@b/\x07", "a@[b]"])
def test_what_is_no_address_is_told_before_anybody_connects(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        RayoClient(wrong, "x", "focus.example.org")
    with pytest.raises(ValueError, match="FOCUS_RAYO_ACCOUNT"):
        Credentials.from_environment(ENOUGH | {"FOCUS_RAYO_ACCOUNT": wrong})


def test_everything_can_be_said(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pass word\r\n")
    found = Credentials.from_environment(
        {
            "FOCUS_RAYO_ACCOUNT": "ivr@example.org",
            "FOCUS_RAYO_PASSWORD_FILE": str(secret),
            "FOCUS_RAYO_SERVICE": "rayo.example.net",
            "FOCUS_RAYO_SERVER": "[2001:db8::1]:5222",
            "FOCUS_RAYO_CA_FILE": "/ca.pem",
            "FOCUS_RAYO_INSECURE": "Yes",
        }
    )
    assert found.account.password == "pass word"
    assert found.account.server == ("2001:db8::1", 5222)
    assert (found.account.ca_file, found.account.insecure) == (Path("/ca.pem"), True)
    assert str(found.service) == "rayo.example.net"


@pytest.mark.parametrize(
    ("server", "ca_file", "insecure"),
    [
        ("127.0.0.1:5222", "", True),
        ("[::1]:5222", "", True),
        ("localhost:5222", "", True),
        ("localhost:5222", "/ca.pem", False),
        ("xmpp.example.org:5222", "", False),
        ("", "", False),
    ],
)
def test_only_this_machine_is_trusted_without_a_certificate(server: str, ca_file: str, insecure: bool) -> None:
    place = {"FOCUS_RAYO_SERVER": server, "FOCUS_RAYO_CA_FILE": ca_file}
    assert Credentials.from_environment(ENOUGH | place).account.insecure is insecure


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"FOCUS_RAYO_ACCOUNT": ""}, "FOCUS_RAYO_ACCOUNT is missing"),
        ({"FOCUS_RAYO_ACCOUNT": "@x"}, "FOCUS_RAYO_ACCOUNT: not a JID"),
        ({"FOCUS_RAYO_ACCOUNT": "example.org"}, "FOCUS_RAYO_ACCOUNT must be NAME@DOMAIN"),
        ({"FOCUS_RAYO_PASSWORD": ""}, "FOCUS_RAYO_PASSWORD or FOCUS_RAYO_PASSWORD_FILE is missing"),
        ({"FOCUS_RAYO_PASSWORD": "", "FOCUS_RAYO_PASSWORD_FILE": "/no"}, "FOCUS_RAYO_PASSWORD_FILE /no"),
        ({"FOCUS_RAYO_SERVICE": "a@b"}, "FOCUS_RAYO_SERVICE must be a domain"),
        ({"FOCUS_RAYO_SERVER": "host"}, "FOCUS_RAYO_SERVER must be HOST:PORT"),
        ({"FOCUS_RAYO_SERVER": ":5222"}, "FOCUS_RAYO_SERVER must be HOST:PORT"),
        ({"FOCUS_RAYO_SERVER": "host:0"}, "FOCUS_RAYO_SERVER must be HOST:PORT"),
        ({"FOCUS_RAYO_INSECURE": "perhaps"}, "FOCUS_RAYO_INSECURE must be yes or no"),
    ],
)
def test_what_is_missing_or_wrong_is_named(wrong: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Credentials.from_environment(ENOUGH | wrong)
