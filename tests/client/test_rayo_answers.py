"""Inputs and prompts that a Rayo client starts, on the real service: callers answer with keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from focus.client import (
    JID,
    Complete,
    Event,
    Grammar,
    HungUp,
    InputComponent,
    InputTimersStarted,
    Interpretation,
    Match,
    NoInput,
    NoMatch,
    RayoClient,
    RayoError,
    Signal,
    Stopped,
)
from focus.wire.rayo import Ref
from focus.wire.rayo_component import Execution
from focus.wire.rayo_input import INPUT, Input
from focus.wire.rayo_output import OUTPUT
from focus.wire.rayo_prompt import PROMPT, Prompt
from tests.client.conftest import RayoFactory
from tests.client.test_rayo_components import Hasty, completed, taken
from tests.interop.callers import AiortcCaller, CallerFactory
from tests.interop.rayo_listings.sounds import Listener, rising, tone
from tests.interop.running import PATIENCE, RunningFocus

pytestmark = pytest.mark.interop

MENU = """
<?xml version="1.0"?>
<grammar xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="menu"
         tag-format="semantics/1.0-literals">
  <rule id="menu"><one-of>
    <item>1 <tag>sales &amp; orders</tag></item>
    <item>2 <item repeat="0-1">3</item> <tag>support</tag></item>
  </one-of></rule>
</grammar>"""
PIN = "builtin:dtmf/digits?minlength=4;maxlength=6"


async def presses(caller: AiortcCaller, keys: str) -> None:
    """Who has no telephone events tells them (XEP-0181)."""
    for key in keys:
        await caller.jingle("session-info", f"<dtmf xmlns='urn:xmpp:jingle:dtmf:0' code='{key}'/>")


async def matched(component: InputComponent) -> Interpretation | None:
    async with asyncio.timeout(PATIENCE):
        return await component.matched()


async def test_keys_are_gathered_and_mean_what_the_grammar_says(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory
) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    pin = await call.input(grammar_url=PIN, mode="dtmf", terminator="#")
    assert pin.interpretation is None
    await presses(alice, "4711#")
    assert await matched(pin) == Interpretation("4 7 1 1", "4711", "dtmf", 1, PIN)
    assert isinstance((await completed(pin)).reason, Match)
    for keys, options, meaning in (
        ("1", {"grammar": MENU}, "sales & orders"),
        ("2", {"grammar": MENU, "inter_digit_timeout": 0.01}, "support"),
        ("23", {"grammars": [Grammar(url="builtin:dtmf/boolean"), Grammar(url="builtin:dtmf/digits?length=2")]}, "23"),
    ):
        menu = await call.input(mode="dtmf", **options)
        await presses(alice, keys)
        found = await matched(menu)
        assert found is not None
        assert found.meaning == meaning


async def test_all_in_a_mixer_answer_together(focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory) -> None:
    juliet, alice, bob = await rayo("juliet"), await caller("alice", 300), await caller("bob", 440)
    for each in (alice, bob):
        await (await taken(focus, juliet, each)).join(mixer="tea")
    both = await juliet.mixer("tea").input(grammar_url="builtin:dtmf/digits?length=2", mode="dtmf")
    await presses(alice, "1")
    await presses(bob, "2")
    found = await matched(both)
    assert found is not None
    assert found.meaning == "12"


async def test_an_input_ends_without_a_match(focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    silent = await call.input(grammar=MENU, mode="dtmf", initial_timeout=0.01)
    assert await matched(silent) is None
    assert silent.complete == Complete(reason=NoInput())
    wrong = await call.input(grammar=MENU, mode="dtmf")
    await presses(alice, "9")
    assert await matched(wrong) is None
    assert wrong.complete == Complete(reason=NoMatch())
    stopped, left = await call.input(grammar=MENU, mode="dtmf"), await call.input(grammar=MENU, mode="dtmf")
    await stopped.stop()
    assert await matched(stopped) is None
    assert stopped.complete == Complete(reason=Stopped())
    await alice.hang_up()
    assert await matched(left) is None
    assert left.complete == Complete(reason=HungUp())


async def test_a_prompt_is_interrupted_or_waits(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory, tmp_path: Path
) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call, listener, sound = await taken(focus, juliet, alice), Listener(alice), rising(tmp_path)
    menu = await call.prompt(url=sound, grammar=MENU, mode="dtmf")
    assert await listener.begins() < 5
    await menu.seek(30)
    await menu.pause()
    await listener.falls_silent()
    await menu.resume()
    assert await listener.begins() > 30
    await presses(alice, "1")  # a minute is not over
    found = await matched(menu)
    assert found is not None
    assert found.meaning == "sales & orders"
    patient = await call.prompt(
        url=tone(tmp_path, 1000), grammar=MENU, mode="dtmf", barge_in=False, initial_timeout=PATIENCE
    )
    events: list[Event] = []
    async with asyncio.timeout(PATIENCE):
        async for event in patient.events:
            events.append(event)
            if event == InputTimersStarted():
                with pytest.raises(RayoError) as refused:
                    await patient.pause()
                assert refused.value.condition == "unexpected-request"
                await presses(alice, "1")
    assert events == [InputTimersStarted(), patient.complete]
    assert await matched(patient) == found


async def test_signals_are_told_and_one_may_end_it(
    focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory
) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    keys, ended = [
        await call.input(grammar_url=f"urn:xmpp:rayo:cpa:dtmf:1{options}", mode="cpa")
        for options in ("", "?terminate=true")
    ]
    await presses(alice, "57")
    async with asyncio.timeout(PATIENCE):
        signals = [await anext(keys.events) for _ in range(2)]
    assert [(signal.type, signal.value) for signal in signals if isinstance(signal, Signal)] == [
        ("urn:xmpp:rayo:cpa:dtmf:1", "5"),
        ("urn:xmpp:rayo:cpa:dtmf:1", "7"),
    ]
    assert await matched(ended) is None
    assert ended.signal == signals[0]
    await keys.stop()
    assert (await completed(keys)).reason == Stopped()
    assert keys.signal is None


async def test_what_cannot_be_asked_is_refused(focus: RunningFocus, rayo: RayoFactory, caller: CallerFactory) -> None:
    juliet, alice = await rayo("juliet"), await caller("alice", 300)
    call = await taken(focus, juliet, alice)
    for doing, condition, text in (
        (call.input(grammar=MENU.replace("<one-of>", ""), mode="dtmf"), "bad-request", "grammar:8:5: not well-formed"),
        (call.input(grammar_url="builtin:dtmf/colour", mode="dtmf"), "bad-request", "there is no such grammar"),
        (call.input(grammar=MENU, mode="dtmf", terminator="E"), "feature-not-implemented", "'E' is not a key"),
        (call.input(grammar=MENU, mode="dtmf", match_content_type="text/x"), "feature-not-implemented", "text/x"),
        (call.prompt(url="file:///etc/passwd", grammar=MENU, mode="dtmf"), "feature-not-implemented", ""),
        (juliet.mixer("nowhere").input(grammar=MENU, mode="dtmf"), "item-not-found", ""),
    ):
        with pytest.raises(RayoError) as refused:
            await doing
        assert refused.value.condition == condition
        assert text in refused.value.text
    for wrong in (
        call.input(mode="dtmf"),
        call.input(grammar=MENU, sensitivity=1.1),
        call.input(grammar=MENU, mode="smell"),  # type: ignore[arg-type]
        call.prompt(text="Yes?"),
        call.prompt(grammar=MENU),
    ):
        with pytest.raises(ValueError, match="validation error"):
            await wrong
    assert not juliet._components


class Silent:
    """A session that keeps what it is told."""

    def __init__(self) -> None:
        self.commands: list[Execution] = []

    async def start(self, to: JID, command: Execution, *, within: float | None = None) -> Ref:
        self.commands.append(command)
        return Ref(uri=to.with_resource("9f3a61c0").uri)


async def test_everything_that_can_be_chosen_is_said() -> None:
    juliet, session = RayoClient("juliet@example.org", "secret"), Silent()
    juliet._session = session  # type: ignore[assignment]
    call = juliet.call("a@focus.example.org")
    await call.prompt(
        text="Well?",
        voice="de",
        renderer="espeak",
        barge_in=False,
        grammar_url="session:yes",
        mode="voice",
        terminator="#",
        recognizer="sphinx",
        language="de-AT",
        sensitivity=0.25,
        min_confidence=0.75,
        max_silence=0.5,
        initial_timeout=5,
        inter_digit_timeout=1.5,
        recognition_timeout=20,
        match_content_type="application/nlsml+xml;v=1",
    )
    wanted = f"""
        <prompt xmlns="{PROMPT}" barge-in="false">
          <output xmlns="{OUTPUT}" voice="de" renderer="espeak">
            <document content-type="text/plain">Well?</document></output>
          <input xmlns="{INPUT}" mode="voice" terminator="#" recognizer="sphinx" language="de-AT" sensitivity="0.25"
            min-confidence="0.75" max-silence="500" initial-timeout="5000" inter-digit-timeout="1500"
            recognition-timeout="20000" match-content-type="application/nlsml+xml;v=1">
            <grammar url="session:yes"/></input></prompt>"""
    assert session.commands == [Prompt.parse(ET.fromstring(wanted))]
    await call.input(grammars=[Grammar(url="urn:xmpp:rayo:cpa:beep:1?terminate=true")], mode="cpa")
    wanted = f"<input xmlns='{INPUT}' mode='cpa'><grammar url='urn:xmpp:rayo:cpa:beep:1?terminate=true'/></input>"
    assert session.commands[1] == Input.parse(ET.fromstring(wanted))


async def test_a_result_that_cannot_be_read_says_so() -> None:
    juliet = RayoClient("juliet@example.org", "secret")
    complete = Complete(reason=Match(content_type="text/plain", result="four"))
    juliet._session = Hasty(juliet, complete)  # type: ignore[assignment]
    component = await juliet.call("a@focus.example.org").input(grammar=MENU)
    with pytest.raises(RayoError, match=r"the result of a@focus\.example\.org/9f3a61c0 cannot be read: syntax error"):
        await matched(component)
    assert component.complete == complete
