"""Keys, pressed one after another, and what they come to."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from xml.etree import ElementTree as ET

import pytest

from focus.engines.fetching import Fetched, FetchError
from focus.media.plane import MediaPlane
from focus.rayo.component import Facilities
from focus.wire.conditions import BadRequest, ItemNotFound, OptionNotSupported, ResourceConstraint, StanzaError
from focus.wire.rayo_component import Failed, Stop, Stopped
from focus.wire.rayo_input import Grammar, Input, Match, NoInput, NoMatch
from focus.wire.rayo_prompt import PromptedInput
from focus.wire.session import Gathered, Keypad

from .at_work import Scene
from .scene import settled

SRGS = "application/srgs+xml"
NLSML = "{http://www.ietf.org/xml/ns/mrcpv2}"
PIN = """
<?xml version="1.0"?>
<grammar mode="dtmf" version="1.0" xmlns="http://www.w3.org/2001/06/grammar">
  <rule id="digit"><one-of><item>0</item><item>1</item><item>2</item><item>3</item></one-of></rule>
  <rule id="pin" scope="public"><one-of>
    <item><item repeat="4"><ruleref uri="#digit"/></item>#</item>
    <item>* 9</item>
  </one-of></rule>
</grammar>"""
MENU = """<grammar mode="dtmf" version="1.0" root="r" tag-format="semantics/1.0-literals"
  xmlns="http://www.w3.org/2001/06/grammar"><rule id="r"><one-of>
  <item>1<tag>sales</tag></item><item>1 2<tag>support</tag></item></one-of></rule></grammar>"""


class Web:
    async def __call__(self, uri: str) -> Fetched:
        if uri == "http://x/busy":
            raise FetchError("later", temporary=True)
        if uri != "http://x/pin.grxml":
            raise FetchError("404")
        return Fetched(uri, SRGS, "", io.BytesIO(PIN.strip().encode()))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    plane = MediaPlane([("127.0.0.1", 0)])
    await plane.start()
    scene = Scene(plane, Facilities(plane, fetch=Web()))
    yield scene
    await scene.close()
    await plane.stop()


def here(*documents: str) -> tuple[Grammar, ...]:
    return tuple(Grammar(content_type=SRGS, body=each) for each in documents)


def there(*urls: str) -> tuple[Grammar, ...]:
    return tuple(Grammar(url=each) for each in urls)


async def outcome(scene: Scene, command: Input, keys: str) -> object:
    component = await scene.begin(command)
    for key in keys:
        component.key_pressed(key)
    return (await scene.complete()).reason


def read(reason: object) -> tuple[str, str | None, str | None]:
    """What was put in, what that means, and from which grammar it is."""
    assert isinstance(reason, Match)
    assert reason.content_type == "application/nlsml+xml"
    result = ET.fromstring(reason.result)
    (interpretation,) = result
    (put_in, *instance) = interpretation
    assert (interpretation.tag, put_in.tag) == (f"{NLSML}interpretation", f"{NLSML}input")
    assert put_in.attrib == {"mode": "dtmf", "confidence": "100"}
    return put_in.text or "", instance[0].text if instance else None, result.get("grammar")


@pytest.mark.parametrize("grammars", [here(PIN), there("http://x/pin.grxml")])
async def test_what_matches_and_can_be_no_longer_ends_it_at_once(scene: Scene, grammars: tuple[Grammar, ...]) -> None:
    uri = grammars[0].url
    assert read(await outcome(scene, Input(mode="dtmf", grammars=grammars), "0123#99")) == ("0 1 2 3 #", None, uri)


async def test_what_can_not_match_any_more_ends_it_at_once(scene: Scene) -> None:
    assert await outcome(scene, Input(grammars=here(PIN)), "01239") == NoMatch()


async def test_what_could_be_longer_waits_for_the_next_key_or_the_terminator(scene: Scene) -> None:
    command = Input(grammars=here(MENU), terminator="#", inter_digit_timeout=200)
    assert read(await outcome(scene, command, "1")) == ("1", "sales", None)
    scene.events.clear()
    assert read(await outcome(scene, command, "12")) == ("1 2", "support", None)
    scene.events.clear()
    assert read(await outcome(scene, command.model_copy(update={"inter_digit_timeout": -1}), "1#2")) == (
        "1",
        "sales",
        None,
    )


async def test_what_is_not_yet_enough_is_no_match(scene: Scene) -> None:
    assert await outcome(scene, Input(grammars=here(PIN), inter_digit_timeout=100), "01") == NoMatch()
    scene.events.clear()
    assert await outcome(scene, Input(grammars=here(PIN), terminator="9"), "019") == NoMatch()
    scene.events.clear()
    assert await outcome(scene, Input(grammars=here(PIN), terminator="9", initial_timeout=100), "9") == NoMatch()


async def test_nothing_at_all_is_no_input(scene: Scene) -> None:
    assert await outcome(scene, Input(grammars=here(PIN), initial_timeout=100), "") == NoInput()


async def test_without_timeouts_it_waits(scene: Scene) -> None:
    component = await scene.begin(Input(grammars=here(MENU)))
    component.key_pressed("1")
    await scene.silence(0.3)
    assert not scene.events
    await scene.does(Stop())
    assert (await scene.complete()).reason == Stopped()


async def test_a_flash_of_the_hook_is_no_key(scene: Scene) -> None:
    assert read(await outcome(scene, Input(grammars=here(MENU)), "!1!2!"))[0] == "1 2"


async def test_of_several_grammars_the_first_that_matches_counts(scene: Scene) -> None:
    assert read(await outcome(scene, Input(grammars=here(PIN, MENU), inter_digit_timeout=100), "1"))[1] == "sales"
    scene.events.clear()
    assert read(await outcome(scene, Input(grammars=there("builtin:dtmf/digits?length=2")), "42"))[0] == "4 2"


async def test_keys_before_it_begins_are_nobodys(scene: Scene) -> None:
    starting = asyncio.create_task(scene.begin(Input(grammars=here(MENU), initial_timeout=300)))
    await asyncio.sleep(0)
    component = scene.component
    component.key_pressed("1")
    await starting
    assert (await scene.complete()).reason == NoInput()


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (Input(mode="voice", grammars=here(PIN)), BadRequest),
        (Input(mode="voice", grammars=here(PIN.replace('mode="dtmf"', ""))), OptionNotSupported),
        (Input(mode="dtmf", grammars=here(PIN.replace('mode="dtmf"', 'mode="voice"'))), BadRequest),
        (PromptedInput(mode="cpa", grammars=here(PIN)), OptionNotSupported),
        (Input(recognizer="ears", grammars=here(PIN)), OptionNotSupported),
        (Input(terminator="##", grammars=here(PIN)), OptionNotSupported),
        (Input(match_content_type="application/emma+xml", grammars=here(PIN)), OptionNotSupported),
        (Input(grammars=(Grammar(content_type="application/x-jsgf", body="#JSGF V1.0;"),)), OptionNotSupported),
        (Input(grammars=here("<grammar")), BadRequest),
        (Input(grammars=here(PIN.replace("#digit", "#nothing"))), BadRequest),
        (Input(grammars=here(PIN.replace('mode="dtmf"', 'mode="voice"'))), OptionNotSupported),
        (Input(grammars=there("http://x/none")), BadRequest),
        (Input(grammars=there("http://x/busy")), ResourceConstraint),
        (Input(grammars=there("file:///etc/passwd")), BadRequest),
    ],
)
async def test_what_cannot_be_gathered_is_refused(scene: Scene, command: Input, refusal: type[StanzaError]) -> None:
    with pytest.raises(refusal) as refused:
        await scene.begin(command)
    assert refused.value.text
    assert not scene.events


def grammar(rules: str, **attributes: str) -> str:
    written = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    head = 'xmlns="http://www.w3.org/2001/06/grammar" version="1.0" mode="dtmf" root="r"'
    return f"<grammar {head}{written}>{rules}</grammar>"


#: Each key leads to nearly all of its nodes, which are nearly as many as there may be.
LARGE = grammar(
    '<rule id="r"><item repeat="0-400"><one-of>'
    + "".join(f'<item repeat="0-1">1<item repeat="0-1">{number % 10}</item></item>' for number in range(15))
    + "</one-of></item></rule>"
)


COMMANDS = grammar(
    '<rule id="r"><one-of><item>1</item><item>1 2 3</item><item>2 4</item><item>5 6</item></one-of></rule>'
)


@pytest.mark.parametrize(
    ("keys", "patience", "gathered"),
    [
        ("135656", -1, ["1", "5 6", "5 6"]),  # no command begins with 1 3
        ("124123", -1, ["1", "2 4", "1 2 3"]),
        ("125*56", -1, ["1", "5 6"]),
        ("12", 0, ["1"]),
        ("1", 0, ["1"]),
        ("2", 0, []),
    ],
)
async def test_the_longest_of_several_commands_counts_and_none_is_lost(
    scene: Scene, keys: str, patience: int, gathered: list[str]
) -> None:
    component = await scene.begin(Keypad(mode="dtmf", grammars=here(COMMANDS), inter_digit_timeout=patience))
    for key in keys:
        component.key_pressed(key)
    await settled()
    await scene.does(Stop())
    await scene.complete()
    assert [read(Match(result=each.result))[0] for each in scene.events if isinstance(each, Gathered)] == gathered


async def test_a_large_grammar_keeps_nobody_waiting(scene: Scene) -> None:
    turns = 0

    async def live() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.001)
            turns += 1

    others = asyncio.create_task(live())
    component = await scene.begin(Input(grammars=here(LARGE), terminator="#"))
    while_loading = turns
    for key in "1" * 20 + "#":
        component.key_pressed(key)
    assert read((await scene.complete()).reason)[0] == " ".join("1" * 20)
    others.cancel()
    assert while_loading > 10
    assert turns - while_loading > 10


async def test_who_hangs_up_while_it_is_read_leaves_nothing(scene: Scene) -> None:
    starting = asyncio.create_task(scene.begin(Input(grammars=here(LARGE))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    scene.component.hang_up()
    with pytest.raises(ItemNotFound):
        await starting
    assert scene.component.over.is_set()
    assert not scene.events


async def test_a_room_full_of_people_may_press_keys_at_once(scene: Scene) -> None:
    component = await scene.begin(Input(grammars=there("builtin:dtmf/digits?length=200")))
    for _ in range(200):
        component.key_pressed("7")
    assert read((await scene.complete()).reason)[0] == " ".join("7" * 200)


async def test_a_time_of_nothing_is_over_at_once(scene: Scene) -> None:
    assert await outcome(scene, Input(grammars=here(PIN), initial_timeout=0), "") == NoInput()
    scene.events.clear()
    assert await outcome(scene, Input(grammars=here(PIN), inter_digit_timeout=0), "0") == NoMatch()
    scene.events.clear()
    command = Input(grammars=here(PIN), initial_timeout=0, inter_digit_timeout=0)
    assert read(await outcome(scene, command, "0123#"))[0] == "0 1 2 3 #"  # nothing passes between these


async def test_what_is_too_long_to_be_told_is_an_error(scene: Scene) -> None:
    long = grammar(f'<rule id="r">1<tag><![CDATA[{"&" * 30_000}]]></tag></rule>', tag_format="semantics/1.0-literals")
    reason = await outcome(scene, Input(grammars=here(long)), "1")
    assert isinstance(reason, Failed)
    assert "too long" in reason.text


def test_a_grammar_may_be_text_or_xml() -> None:
    rule = '<rule id="r">1 &amp; 2</rule>'
    inner = f'<grammar xmlns="http://www.w3.org/2001/06/grammar" root="r" version="1.0">{rule}</grammar>'
    outer = "<input xmlns='urn:xmpp:rayo:input:1'><grammar content-type='application/srgs+xml'>{}</grammar></input>"
    escaped = inner.replace("&", "&amp;").replace("<", "&lt;")
    forms = [Input.parse(ET.fromstring(outer.format(each))) for each in (inner, f"<![CDATA[{inner}]]>", escaped)]
    assert {form.grammars[0].body for form in forms} == {inner}
    with pytest.raises(OptionNotSupported):
        Input.parse(ET.fromstring(outer.format(inner + inner)))
