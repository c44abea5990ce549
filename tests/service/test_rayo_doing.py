"""What the commands of `focus rayo` ask of the service."""

from __future__ import annotations

import asyncio
import json

import pytest
from typing_extensions import override

from focus.client import JID, About, Call, Listed, Mixer, NoAnswer, RayoClient, RayoError
from focus.service.rayo import doing, working
from focus.service.rayo.report import Report
from focus.service.ready import ServiceError

MANY = 3 * doing.AT_ONCE


class Crowd(RayoClient):
    """Of a service with many calls, all in one mixer, that answers nothing before it has been asked all that it will be
    asked at once."""

    def __init__(self) -> None:
        super().__init__("me@localhost", "x")
        self.tea = Listed(JID("tea", "focus.localhost"), "Tea")
        self.asked = 0
        self.most = 0

    @override
    async def calls(self) -> list[Listed]:
        return [Listed(JID(f"call{number}", "focus.localhost"), f"p{number}@localhost/x") for number in range(MANY)]

    @override
    async def mixers(self) -> list[Listed]:
        return [self.tea]

    @override
    async def joined(self, party: Call | Mixer | JID | str) -> list[Listed]:
        await self._answer()
        return await self.calls() if party == self.tea.address else [self.tea]

    @override
    async def about(self, party: Call | Mixer | JID | str) -> About:
        await self._answer()
        if party == JID("call0", "focus.localhost"):
            raise RayoError("item-not-found", "cancel", "it has gone")
        if party == self.tea.address:
            return About()
        return About(
            state="answered",
            nick="Ann" if party == JID("call2", "focus.localhost") else "",
            directions={self.tea.uri: "recv"} if party == JID("call1", "focus.localhost") else {},
        )

    async def _answer(self) -> None:
        self.asked += 1
        self.most = max(self.most, self.asked)
        for _ in range(10):
            await asyncio.sleep(0)
        self.asked -= 1


async def test_a_list_asks_some_questions_at_once_and_never_all(capsys: pytest.CaptureFixture[str]) -> None:
    crowd = Crowd()
    assert await doing.list_all(crowd, Report(json=True)) == 0
    assert crowd.most == doing.AT_ONCE
    *calls, mixer = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    uris = [f"xmpp:call{number}@focus.localhost" for number in range(MANY)]
    assert mixer == {"mixer": "Tea", "uri": "xmpp:tea@focus.localhost", "joined": uris, "directions": {}}
    assert [call["call"] for call in calls] == uris
    assert calls[0]["state"] == ""
    assert [call.get("nick") for call in calls[:4]] == [None, None, "Ann", None]
    assert calls[1] == {
        "call": uris[1],
        "peer": "p1@localhost/x",
        "state": "answered",
        "joined": ["xmpp:tea@focus.localhost"],
        "directions": {"xmpp:tea@focus.localhost": "recv"},
    }


async def test_a_service_that_does_not_answer_is_told_so_instead_of_a_list_of_what_is_not_known() -> None:
    async def silence(party: object) -> About:
        raise NoAnswer("no answer to <query/>")

    crowd = Crowd()
    crowd.about = silence  # type: ignore[method-assign]
    with pytest.raises(NoAnswer):
        await doing.list_all(crowd, Report(json=True))


async def test_people_read_names(capsys: pytest.CaptureFixture[str]) -> None:
    await doing.list_all(Crowd(), Report(json=False))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:2] == [["call", "peer", "state", "joined"], ["call0", "p0@localhost/x", "?", "Tea"]]
    assert lines[2] == ["call1", "p1@localhost/x", "answered", "Tea", "(recv)"]
    assert lines[3] == ["call2", "Ann", "(p2@localhost/x)", "answered", "Tea"]
    assert ["mixer", "joined"] in lines


@pytest.mark.parametrize("grammar", ["nowhere.grxml", "."])
async def test_a_grammar_that_is_not_there_is_wrong_usage_as_any_file(grammar: str) -> None:
    async def kind(address: object) -> str:
        return "mixer"

    crowd = Crowd()
    crowd.kind = kind  # type: ignore[method-assign]
    with pytest.raises(ServiceError, match=grammar) as raised:
        await working.ask(crowd, Report(json=True), "tea", "Well?", grammar=grammar, mode="any", wait=1)
    assert raised.value.exit_code == 64


@pytest.mark.parametrize(
    ("name", "jid", "told"),
    [("Ann", "a@x", "Ann (a@x)"), ("Ann", None, "Ann"), (None, "a@x", "a@x"), ("", "", "")],
)
def test_somebody_is_named_as_far_as_they_are_known(name: str | None, jid: str | None, told: str) -> None:
    assert doing.named(name, jid) == told
