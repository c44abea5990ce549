"""Who calls is asked, and says the answer: a telephone, a Rayo client and the whole service, beside a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from focus.client import JID, RayoClient
from focus.client.connection import Account
from focus.service.phone import Phone, Settings
from focus.service.phone.call import Sound
from focus.service.phone.sound import Samples, speech
from focus.service.sections.rayo import RayoSettings, RouteSettings
from tests.engines.spoken import decoders
from tests.interop.running import PASSWORD, PATIENCE, serve, settings_for
from tests.interop.servers import Server

pytestmark = pytest.mark.interop

ANSWER = """
<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="voice" xml:lang="en-US" root="answer"
         tag-format="semantics/1.0-literals">
  <rule id="answer"><one-of><item>yes <tag>it is</tag></item><item>no <tag>it is not</tag></item></one-of></rule>
</grammar>"""
QUESTION = "Is it you? " * 10


async def test_a_question_is_interrupted_by_its_answer(prosody: Server) -> None:
    juliet = f"juliet@{prosody.domain}"
    for account in (juliet, f"alice@{prosody.domain}"):
        await prosody.add_user(account, PASSWORD)
    settings = settings_for(prosody).model_copy(
        update={"rayo": RayoSettings(clients=(juliet,)), "routes": (RouteSettings(match="desk", clients=(juliet,)),)}
    )
    caller = Account(JID("alice", prosody.domain, "phone"), PASSWORD, prosody.c2s, insecure=True)
    is_asked = asyncio.Event()

    async def answer() -> AsyncGenerator[Samples, None]:
        while True:
            await is_asked.wait()
            is_asked.clear()
            async for block in speech("no", loop=False)():
                yield block

    phone = Phone(Settings(account=caller, sound=Sound(answer), media=["127.0.0.1"]))
    async with serve(prosody, settings) as focus, asyncio.timeout(2 * PATIENCE):
        async with RayoClient(f"{juliet}/rayo", PASSWORD, server=prosody.c2s, insecure=True) as client:
            await phone.connect()
            calling = asyncio.create_task(phone.call(focus.mixer("desk")))
            call = await anext(client.offers)
            await call.answer()
            await calling
            for _ in range(3):  # a busy machine swallows syllables
                asked = await call.prompt(text=QUESTION, grammar=ANSWER, min_confidence=0.5)
                is_asked.set()
                if found := await asked.matched():
                    break
            assert found is not None
            assert (found.input, found.meaning, found.mode) == ("no", "it is not", "speech")
            assert found.confidence >= 0.5
            assert decoders()
        await phone.close()
    assert not decoders()  # they end with the service
