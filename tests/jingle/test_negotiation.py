"""Offers and answers, in the shapes that clients write them."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import permutations
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from focus.jingle.codecs import for_modems, opus, preferred, usual
from focus.jingle.negotiation import (
    Answer,
    Local,
    NegotiationError,
    answer,
    offer,
    other_credentials,
    sends,
    settle,
)
from focus.jingle.session import Party
from focus.wire.dtls import Fingerprint
from focus.wire.ice import Transport
from focus.wire.jingle import Action, Content, Group, GroupContent, Jingle, foreign_parts
from focus.wire.rtp import AUDIO_LEVEL, MIXED_LEVELS, Description, HeaderExtension, PayloadType, Source

from .pair import candidate

OURS, THEIRS = (":".join([digit * 2] * 32) for digit in "AB")
LOCAL = Local(
    transport=Transport(
        ufrag="ours",
        pwd="our-password-of-22-chars",
        fingerprints=(Fingerprint(hash="sha-256", value=OURS),),
        candidates=(candidate(4000), candidate(4001)),
    ),
    ssrc=42,
    cname="cname",
)
REMOTE = Transport(
    ufrag="them",
    pwd="their-password-22-chars",
    fingerprints=(Fingerprint(hash="sha-256", setup="actpass", value=THEIRS),),
    candidates=(candidate(5000), candidate(5001, component=2)),
)
OPUS = PayloadType.model_validate(
    {
        "id": 109,
        "name": "opus",
        "clockrate": 48000,
        "channels": 2,
        "parameters": ({"name": "useinbandfec", "value": "1"}, {"name": "maxaveragebitrate", "value": "24000"}),
    }
)
PCMU = PayloadType(id=0, name="PCMU", clockrate=8000)
PCMA = PayloadType(id=8, name="PCMA", clockrate=8000)
G722 = PayloadType(id=9, name="G722", clockrate=8000)
EVENT_48, EVENT_8 = (
    PayloadType(id=number, name="telephone-event", clockrate=rate) for number, rate in ((113, 48000), (126, 8000))
)
VP8 = PayloadType.model_validate(
    {"id": 98, "name": "VP8", "clockrate": 90000, "feedback": ({"type": "nack"}, {"type": "ccm", "subtype": "fir"})}
)


def audio(**changes: object) -> Content:
    values: dict[str, object] = {"media": "audio", "payload_types": (PCMU, OPUS), "rtcp_mux": {}}
    parts = {each: changes.pop(each) for each in ("payload_types", "rtcp_mux", "header_extensions", "sources", "ssrc")
             if each in changes}  # fmt: skip
    description = Description.model_validate(values | parts)
    return Content.model_validate({"name": "0", "description": description, "transport": REMOTE} | changes)


def video(**changes: object) -> Content:
    description = Description.model_validate({"media": "video", "payload_types": (VP8,), "rtcp_mux": {}})
    return Content.model_validate({"name": "1", "description": description, "transport": REMOTE} | changes)


def bundle(*names: str) -> Group:
    return Group(semantics="BUNDLE", contents=tuple(GroupContent(name=name) for name in names))


def initiate(*contents: Content, group: Group | None = None) -> Jingle:
    return Jingle(action=Action.SESSION_INITIATE, sid="s", contents=contents, group=group)


def accept(*contents: Content) -> Jingle:
    return Jingle(action=Action.SESSION_ACCEPT, sid="s", contents=contents)


def described(content: Content) -> Description:
    assert content.description is not None
    return content.description


def transported(content: Content) -> Transport:
    assert content.transport is not None
    return content.transport


def refusal(offer: Jingle, foreign: frozenset[str] = frozenset()) -> str:
    with pytest.raises(NegotiationError) as refused:
        answer(offer, LOCAL, foreign)
    assert refused.value.reason.text
    return refused.value.reason.condition


# --- codecs ---


def test_the_answer_has_one_codec_under_the_number_it_was_offered_with() -> None:
    result = answer(initiate(audio()), LOCAL)
    (payload,) = described(result.contents[0]).payload_types  # no telephone events: none were offered
    assert (payload.id, payload.name, payload.clockrate, payload.channels) == (109, "opus", 48000, 2)
    parameters = {each.name: each.value for each in payload.parameters}
    assert parameters == {
        "minptime": "10", "useinbandfec": "1", "usedtx": "1", "stereo": "0", "maxaveragebitrate": "32000"
    }  # fmt: skip


def test_what_the_peer_wishes_to_be_sent_is_what_is_settled() -> None:
    assert answer(initiate(audio()), LOCAL).settled.payload == OPUS


@pytest.mark.parametrize("changes", [{"name": "OPUS"}, {"channels": None}, {"clockrate": None}])
def test_opus_is_recognised_however_it_is_written(changes: dict[str, object]) -> None:
    payload = OPUS.model_copy(update=changes)
    (answered,) = described(answer(initiate(audio(payload_types=(payload,))), LOCAL).contents[0]).payload_types
    assert (answered.name, answered.channels, answered.clockrate) == ("opus", 2, 48000)


@pytest.mark.parametrize(
    "payload_types", [(), (G722,), (OPUS.model_copy(update={"clockrate": 16000}),), (PayloadType(id=96),)]
)
def test_no_codec_in_common_is_a_failed_application(payload_types: tuple[PayloadType, ...]) -> None:
    assert refusal(initiate(audio(payload_types=payload_types))) == "failed-application"


@pytest.mark.parametrize("payload", [PCMU, PCMA, PayloadType(id=0), PCMA.model_copy(update={"id": 97})])
def test_a_peer_without_opus_is_answered_with_its_g711(payload: PayloadType) -> None:
    result = answer(initiate(audio(payload_types=(G722, payload))), LOCAL)
    (answered,) = described(result.contents[0]).payload_types
    name = payload.name or "PCMU"
    assert (answered.id, answered.name, answered.clockrate, answered.parameters) == (payload.id, name, 8000, ())
    assert (result.settled.payload.id, result.settled.payload.name) == (payload.id, name)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("opus", "PCMU", "PCMA"), "opus"),
        (("PCMA", "opus"), "PCMA"),
        (("PCMU",), "PCMU"),
        (("PCMU", "PCMA", "opus"), "PCMU"),
    ],
)
def test_of_what_a_peer_knows_the_first_of_our_preferences_is_taken(names: tuple[str, ...], chosen: str) -> None:
    ours = replace(LOCAL, codecs=preferred(names))
    for order in permutations((OPUS, G722, PCMU, PCMA)):
        result = answer(initiate(audio(payload_types=order)), ours)
        assert result.settled.payload.name == chosen
        assert described(result.contents[0]).payload_types[0].name == chosen
    spoken = [each.name for each in described(offer(ours)[0]).payload_types if each.name != "telephone-event"]
    assert tuple(spoken) == names
    assert refusal(initiate(audio(payload_types=(G722,)))) == "failed-application"


def test_a_modem_has_the_sound_of_telephones_before_opus_and_opus_without_what_helps_speech() -> None:
    assert [codec.name for codec in for_modems(usual())] == ["PCMU", "PCMA", "opus"]
    assert [codec.name for codec in for_modems(preferred(["opus", "PCMA", "PCMU"]))] == ["PCMA", "PCMU", "opus"]
    *_, last = for_modems(usual())
    payload = last.payload_type(111)
    assert [payload.parameter(name) for name in ("maxaveragebitrate", "usedtx", "useinbandfec")] == ["128000", "0", "0"]


def test_only_what_there_is_can_be_preferred() -> None:
    with pytest.raises(KeyError):
        preferred(["G722"])


def test_a_number_that_is_not_static_needs_a_name() -> None:
    assert refusal(initiate(audio(payload_types=(PayloadType(id=111),)))) == "failed-application"


def test_an_accept_with_g711_alone_settles_it() -> None:
    settled = settle(offer(LOCAL), accept(their_accept(payload_types=(PCMA,))), LOCAL.codecs)
    assert (settled.payload.id, settled.payload.name) == (8, "PCMA")


@pytest.mark.parametrize(("number", "used"), [(63, True), (64, False), (95, False), (96, True)])
def test_numbers_that_look_like_rtcp_are_not_used(number: int, used: bool) -> None:
    """RFC 5761 section 4, of sound and of telephone events."""
    elsewhere = OPUS.model_copy(update={"id": number})
    offered = initiate(audio(payload_types=(elsewhere, PCMU, EVENT_8.model_copy(update={"id": number}))))
    assert answer(offered, LOCAL).settled.payload.id == (number if used else 0)
    keys = initiate(audio(payload_types=(OPUS, EVENT_8.model_copy(update={"id": number}))))
    assert [each.id for each in answer(keys, LOCAL).settled.telephone_events] == ([number] if used else [])


def test_the_bitrate_asked_for_can_be_set() -> None:
    assert opus(bitrate=64000).payload_type(111).parameter("maxaveragebitrate") == "64000"


# --- telephone events ---


def event_types(payloads: Iterable[PayloadType]) -> list[tuple[int, int | None]]:
    return [(each.id, each.clockrate) for each in payloads if each.name == "telephone-event"]


@pytest.mark.parametrize(
    ("payloads", "wanted"),
    [
        ((EVENT_8, OPUS, EVENT_48), [(113, 48000), (126, 8000)]),
        ((OPUS, EVENT_48), [(113, 48000)]),
        ((OPUS, EVENT_8), [(126, 8000)]),
        ((OPUS,), []),
        ((PCMU, EVENT_48, EVENT_8), [(126, 8000)]),
        ((PCMA, EVENT_48), []),
        (
            (PCMU, EVENT_8.model_copy(update={"name": "Telephone-Event", "clockrate": None, "channels": 1})),
            [(126, 8000)],
        ),
        ((PCMU, EVENT_8.model_copy(update={"clockrate": 16000})), []),
        ((PCMU, EVENT_8.model_copy(update={"channels": 2})), []),
        ((OPUS, EVENT_8, EVENT_8.model_copy(update={"id": 5})), [(126, 8000)]),
        ((OPUS, EVENT_48.model_copy(update={"id": OPUS.id}), EVENT_8), [(126, 8000)]),
        ((OPUS, EVENT_48, EVENT_8.model_copy(update={"id": EVENT_48.id})), [(113, 48000)]),
    ],
)
def test_telephone_events_go_beside_the_codec_at_its_clock_and_beside_opus_at_8_khz_too(
    payloads: tuple[PayloadType, ...], wanted: list[tuple[int, int]]
) -> None:
    result = answer(initiate(audio(payload_types=payloads)), LOCAL)
    first, *others = described(result.contents[0]).payload_types
    assert first.name != "telephone-event"
    assert event_types(others) == wanted
    assert [(each.id, each.clockrate) for each in result.settled.telephone_events] == wanted
    assert {each.parameter("events") for each in others} <= {"0-15"}


def test_telephone_events_and_levels_are_answered_in_the_shape_that_clients_write() -> None:
    rtp, hdrext = "urn:xmpp:jingle:apps:rtp:1", "urn:xmpp:jingle:apps:rtp:rtp-hdrext:0"
    offered = f"""<description xmlns='{rtp}' media='audio'>
        <payload-type id='111' name='opus' clockrate='48000' channels='2'>
            <parameter name='minptime' value='10'/><parameter name='useinbandfec' value='1'/>
            <rtcp-fb xmlns='urn:xmpp:jingle:apps:rtp:rtcp-fb:0' type='transport-cc'/>
        </payload-type>
        <payload-type id='8' name='PCMA' clockrate='8000'/>
        <payload-type id='13' name='CN' clockrate='8000'/>
        <payload-type id='110' name='telephone-event' clockrate='48000'/>
        <payload-type id='126' name='telephone-event' clockrate='8000'>
            <parameter name='events' value='0-16'/>
        </payload-type>
        <rtcp-mux/>
        <rtp-hdrext xmlns='{hdrext}' id='1' uri='{AUDIO_LEVEL}'/>
        <rtp-hdrext xmlns='{hdrext}' id='2' uri='{MIXED_LEVELS}' senders='responder'/>
        <rtp-hdrext xmlns='{hdrext}' id='4' uri='urn:ietf:params:rtp-hdrext:sdes:mid'/>
    </description>"""
    content = audio().model_copy(update={"description": Description.parse(ET.fromstring(offered))})
    written = described(answer(initiate(content), LOCAL).contents[0]).to_element()
    events = [each for each in written.iter(f"{{{rtp}}}payload-type") if each.get("name") == "telephone-event"]
    assert [ET.tostring(each).decode() for each in events] == [
        ET.tostring(
            ET.fromstring(
                f"<payload-type xmlns='{rtp}' id='{number}' name='telephone-event' clockrate='{rate}'>"
                "<parameter name='events' value='0-15'/></payload-type>"
            )
        ).decode()
        for number, rate in ((110, 48000), (126, 8000))
    ]
    assert [dict(each.attrib) for each in written.iter(f"{{{hdrext}}}rtp-hdrext")] == [
        {"id": "1", "uri": AUDIO_LEVEL},
        {"id": "2", "uri": MIXED_LEVELS, "senders": "responder"},
    ]


def test_telephone_events_alone_are_no_codec() -> None:
    assert refusal(initiate(audio(payload_types=(EVENT_48, EVENT_8)))) == "failed-application"


def test_telephone_events_are_offered_at_the_clocks_of_our_codecs() -> None:
    assert event_types(described(offer(LOCAL)[0]).payload_types) == [(110, 48000), (101, 8000)]
    assert event_types(described(offer(replace(LOCAL, codecs=(opus(),)))[0]).payload_types) == [(110, 48000)]


def test_telephone_events_of_an_accept_are_those_that_were_offered() -> None:
    ours = EVENT_48.model_copy(update={"id": 110})
    opus_type = OPUS.model_copy(update={"id": 111})
    content = their_accept(payload_types=(opus_type, EVENT_8, ours))
    settled = settle(offer(LOCAL), accept(content), LOCAL.codecs)
    assert event_types(settled.telephone_events) == [(110, 48000)]


# --- contents ---


@pytest.mark.parametrize("creator", ["initiator", "responder"])
def test_name_and_creator_come_back_verbatim(creator: str) -> None:
    (content,) = answer(initiate(audio(name="my mic", creator=creator)), LOCAL).contents
    assert (content.name, content.creator) == ("my mic", creator)


def test_video_without_a_bundle_is_left_out() -> None:
    result = answer(initiate(audio(), video()), LOCAL)
    assert [content.name for content in result.contents] == ["0"]
    assert result.group is None
    assert result.settled.contents == {"0"}


@pytest.mark.parametrize("order", [("0", "1"), ("1", "0")])
def test_bundled_video_is_accepted_with_nobody_sending(order: tuple[str, str]) -> None:
    offered = initiate(audio(), video(), group=bundle(*order))
    result = answer(offered, LOCAL)
    assert [content.name for content in result.contents] == list(order)
    assert result.group == offered.group
    contents = {content.name: content for content in result.contents}
    declined = contents["1"]
    assert declined.senders == "none"
    assert described(declined).media == "video"
    assert [(each.id, each.name, each.feedback) for each in described(declined).payload_types] == [(98, "VP8", ())]
    assert transported(declined).ufrag == "ours"
    assert transported(declined).fingerprints == transported(contents["0"]).fingerprints
    assert contents["0"].senders == "both"
    assert transported(contents["0"]).candidates == LOCAL.transport.candidates
    # whoever reads the transport from the first of the bundle finds the candidates there
    assert transported(result.contents[0]).candidates == LOCAL.transport.candidates
    assert result.settled.contents == {"0", "1"}


def test_the_candidates_of_all_bundled_contents_are_used() -> None:
    empty = REMOTE.model_copy(update={"candidates": ()})
    more = REMOTE.model_copy(update={"candidates": (candidate(5000), candidate(6000))})
    offered = initiate(audio(transport=empty), video(transport=more), group=bundle("1", "0"))
    assert [each.port for each in answer(offered, LOCAL).settled.remote.candidates] == [5000, 6000]


@pytest.mark.parametrize(
    "changes",
    [
        {"ufrag": "else"},
        {"pwd": "another-password-22-chars"},
        {"fingerprints": (Fingerprint(hash="sha-256", value=OURS),)},
        {"fingerprints": (*REMOTE.fingerprints, Fingerprint(hash="sha-256", value=OURS))},
    ],
)
def test_bundled_contents_that_disagree_on_their_transport_are_a_security_error(changes: dict[str, object]) -> None:
    other = video(transport=REMOTE.model_copy(update=changes))
    assert refusal(initiate(audio(), other, group=bundle("0", "1"))) == "security-error"
    assert len(answer(initiate(audio(), other), LOCAL).contents) == 1


def test_a_bundled_content_may_leave_its_transport_empty() -> None:
    offered = initiate(audio(), video(transport=Transport()), group=bundle("0", "1"))
    assert len(answer(offered, LOCAL).contents) == 2


def test_groups_that_do_not_bundle_our_content_are_none() -> None:
    lip_sync = bundle("0", "1").model_copy(update={"semantics": "LS"})
    for group in (bundle("1"), lip_sync, bundle()):
        result = answer(initiate(audio(), video(), group=group), LOCAL)
        assert [content.name for content in result.contents] == ["0"]
        assert result.group is None


def test_a_group_may_name_what_is_not_there_and_what_is_not_rtp() -> None:
    data = Content(name="data", transport=REMOTE)
    result = answer(initiate(audio(), data, group=bundle("0", "data", "nowhere", "0")), LOCAL)
    assert result.group == bundle("0")
    assert [content.name for content in result.contents] == ["0"]


def test_a_second_definition_of_the_same_content_is_an_alternative() -> None:
    result = answer(initiate(audio(payload_types=(PCMU,)), audio()), LOCAL)
    assert [content.name for content in result.contents] == ["0"]
    assert result.settled.payload == OPUS


@pytest.mark.parametrize(
    ("contents", "condition"),
    [
        ((), "unsupported-applications"),
        ((video(),), "unsupported-applications"),
        ((Content(name="files", transport=REMOTE),), "unsupported-applications"),
        ((audio(transport=None),), "unsupported-transports"),
        ((audio(transport=None), video()), "unsupported-transports"),
    ],
)
def test_what_we_do_not_do_is_named(contents: tuple[Content, ...], condition: str) -> None:
    assert refusal(initiate(*contents)) == condition


def test_a_security_precondition_cannot_be_met() -> None:
    assert refusal(initiate(audio()), frozenset({"security"})) == "security-error"


# --- direction ---


@pytest.mark.parametrize("senders", ["both", "initiator", "responder", "none"])
def test_the_direction_is_the_one_offered(senders: str) -> None:
    result = answer(initiate(audio(senders=senders)), LOCAL)
    assert result.contents[0].senders == result.settled.senders == senders
    assert sends(Party.RESPONDER, result.settled.senders) is (senders in ("both", "responder"))
    assert sends(Party.INITIATOR, result.settled.senders) is (senders in ("both", "initiator"))


# --- transport and security ---


@pytest.mark.parametrize(
    ("setup", "ours"), [("actpass", "active"), ("active", "passive"), ("passive", "active"), (None, "active")]
)
def test_we_open_the_handshake_unless_they_do_and_never_leave_it_open(setup: str | None, ours: str) -> None:
    transport = REMOTE.model_copy(
        update={"fingerprints": (REMOTE.fingerprints[0].model_copy(update={"setup": setup}),)}
    )
    result = answer(initiate(audio(transport=transport)), LOCAL)
    (fingerprint,) = transported(result.contents[0]).fingerprints
    assert fingerprint.setup == result.settled.dtls_role == ours


@pytest.mark.parametrize(
    "fingerprints",
    [
        (),
        (Fingerprint(hash="sha-1", setup="actpass", value=":".join(["AB"] * 20)),),
        (Fingerprint(hash="sha-256", setup="holdconn", value=THEIRS),),
    ],
)
def test_an_offer_without_dtls_is_a_security_error(fingerprints: tuple[Fingerprint, ...]) -> None:
    transport = REMOTE.model_copy(update={"fingerprints": fingerprints})
    assert refusal(initiate(audio(transport=transport))) == "security-error"


def test_only_fingerprints_that_can_be_checked_are_believed() -> None:
    weak = Fingerprint(hash="sha-1", setup="actpass", value=":".join(["AB"] * 20))
    strong = Fingerprint(hash="SHA-512", setup="actpass", value=":".join(["CD"] * 64))
    transport = REMOTE.model_copy(update={"fingerprints": (weak, strong)})
    (believed,) = answer(initiate(audio(transport=transport)), LOCAL).settled.remote.fingerprints
    assert (believed.hash, believed.value) == ("sha-512", strong.value)


def test_one_fingerprint_of_ours_is_sent_even_if_there_are_more() -> None:
    more = Fingerprint(hash="sha-512", value=":".join(["EF"] * 64))
    transport = LOCAL.transport.model_copy(update={"fingerprints": (*LOCAL.transport.fingerprints, more)})
    local = Local(transport=transport, ssrc=1, cname="c")
    for content in (*answer(initiate(audio()), local).contents, *offer(local)):
        assert [each.hash for each in transported(content).fingerprints] == ["sha-256"]


@pytest.mark.parametrize("mux", [True, False])
def test_rtcp_mux_is_answered_if_it_was_offered(mux: bool) -> None:
    result = answer(initiate(audio(rtcp_mux={} if mux else None)), LOCAL)
    assert (described(result.contents[0]).rtcp_mux is not None) is mux


def test_missing_credentials_are_no_other_ones() -> None:
    assert not other_credentials(REMOTE, REMOTE)
    assert not other_credentials(REMOTE, Transport(ufrag="them"))
    assert not other_credentials(REMOTE, Transport())
    assert not other_credentials(Transport(), REMOTE)
    assert other_credentials(REMOTE, Transport(ufrag="else"))
    assert other_credentials(REMOTE, Transport(ufrag="them", pwd="another-password-22-chars"))


# --- extensions and sources ---


@pytest.mark.parametrize(("number", "answered"), [(1, True), (14, True), (15, False), (4096, False)])
def test_audio_levels_are_answered_under_their_number_where_it_fits(number: int, answered: bool) -> None:
    level = HeaderExtension(id=number, uri=AUDIO_LEVEL, senders="both")
    other = HeaderExtension(id=3, uri="urn:ietf:params:rtp-hdrext:sdes:mid")
    result = answer(initiate(audio(header_extensions=(other, level))), LOCAL)
    assert described(result.contents[0]).header_extensions == ((level,) if answered else ())
    assert result.settled.level_extension == (number if answered else None)


def test_extensions_that_were_not_offered_are_not_answered() -> None:
    result = answer(initiate(audio()), LOCAL)
    assert described(result.contents[0]).header_extensions == ()
    assert result.settled.level_extension is None


MIXED = HeaderExtension(id=5, uri=MIXED_LEVELS)


@pytest.mark.parametrize(
    ("senders", "number", "answered"),
    [(None, 5, True), ("both", 5, True), ("responder", 5, True), ("initiator", 5, False), (None, 15, False)],
)
def test_levels_of_those_in_the_mix_are_answered_where_we_may_send_them(
    senders: str | None, number: int, answered: bool
) -> None:
    mixed = MIXED.model_copy(update={"senders": senders, "id": number})
    level = HeaderExtension(id=1, uri=AUDIO_LEVEL)
    result = answer(initiate(audio(header_extensions=(mixed, level))), LOCAL)
    assert described(result.contents[0]).header_extensions == ((mixed, level) if answered else (level,))
    assert (result.settled.level_extension, result.settled.mixed_extension) == (1, number if answered else None)


def test_a_number_is_for_one_extension() -> None:
    level = HeaderExtension(id=5, uri=AUDIO_LEVEL)
    result = answer(initiate(audio(header_extensions=(MIXED, level))), LOCAL)
    assert (result.settled.level_extension, result.settled.mixed_extension) == (None, 5)
    again = (level, HeaderExtension(id=6, uri=AUDIO_LEVEL))
    assert described(answer(initiate(audio(header_extensions=again)), LOCAL).contents[0]).header_extensions == (level,)


def test_an_accept_may_take_the_levels_of_those_in_the_mix() -> None:
    for senders in ("initiator", None):
        taken = HeaderExtension(id=2, uri=MIXED_LEVELS, senders=senders)
        settled = settle(offer(LOCAL), accept(their_accept(header_extensions=(taken,))), LOCAL.codecs)
        assert (settled.level_extension, settled.mixed_extension) == (None, 2)
    other = HeaderExtension(id=3, uri=MIXED_LEVELS)
    content = their_accept(header_extensions=(other,))
    assert settle(offer(LOCAL), accept(content), LOCAL.codecs).mixed_extension is None


def test_our_source_is_announced() -> None:
    (source,) = described(answer(initiate(audio()), LOCAL).contents[0]).sources
    assert source.ssrc == 42
    assert {each.name: each.value for each in source.parameters} == {"cname": "cname", "msid": "cname cname-audio"}


def test_their_source_is_found_wherever_it_is_announced() -> None:
    assert answer(initiate(audio(sources=(Source(ssrc=7), Source(ssrc=8)))), LOCAL).settled.source == 7
    assert answer(initiate(audio(ssrc=9)), LOCAL).settled.source == 9
    assert answer(initiate(audio()), LOCAL).settled.source is None


# --- our own offers ---


def test_we_offer_one_audio_content_and_leave_the_dtls_role_to_them() -> None:
    (content,) = offer(LOCAL)
    assert (content.name, content.creator, content.senders) == ("audio", "initiator", "both")
    (fingerprint,) = transported(content).fingerprints
    assert fingerprint.setup == "actpass"
    assert transported(content).candidates == LOCAL.transport.candidates
    payloads = described(content).payload_types
    assert [(each.id, each.name, each.clockrate) for each in payloads] == [
        (111, "opus", 48000), (0, "PCMU", 8000), (8, "PCMA", 8000),
        (110, "telephone-event", 48000), (101, "telephone-event", 8000),
    ]  # fmt: skip
    assert payloads[0].channels == 2
    assert described(content).rtcp_mux is not None
    assert described(content).header_extensions == (
        HeaderExtension(id=1, uri=AUDIO_LEVEL),
        HeaderExtension(id=2, uri=MIXED_LEVELS, senders="initiator"),
    )


def their_accept(**changes: object) -> Content:
    transport = REMOTE.model_copy(
        update={"fingerprints": (REMOTE.fingerprints[0].model_copy(update={"setup": "active"}),)}
    )
    payload = OPUS.model_copy(update={"id": 111})
    values: dict[str, object] = {"name": "audio", "payload_types": (payload,), "transport": transport}
    return audio(**(values | changes))


def settled_setup(setup: str | None) -> str:
    transport = REMOTE.model_copy(
        update={"fingerprints": (REMOTE.fingerprints[0].model_copy(update={"setup": setup}),)}
    )
    return settle(offer(LOCAL), accept(their_accept(transport=transport)), LOCAL.codecs).dtls_role


def test_an_accept_settles_what_was_offered() -> None:
    level = HeaderExtension(id=1, uri=AUDIO_LEVEL)
    content = their_accept(header_extensions=(level,), sources=(Source(ssrc=7),), senders="initiator")
    settled = settle(offer(LOCAL), accept(content), LOCAL.codecs)
    assert settled.payload.id == 111
    assert settled.payload.parameter("maxaveragebitrate") == "24000"
    assert (settled.level_extension, settled.source, settled.senders) == (1, 7, "initiator")
    assert (settled.name, settled.creator, settled.contents) == ("audio", "initiator", {"audio"})


def test_the_dtls_role_follows_their_answer() -> None:
    assert settled_setup("active") == "passive"
    assert settled_setup("passive") == "active"
    assert settled_setup(None) == "passive"
    for setup in ("actpass", "holdconn"):
        with pytest.raises(NegotiationError) as refused:
            settled_setup(setup)
        assert refused.value.reason.condition == "security-error"


@pytest.mark.parametrize("level", [HeaderExtension(id=2, uri=AUDIO_LEVEL), HeaderExtension(id=1, uri="urn:other")])
def test_an_extension_that_was_not_offered_like_this_is_not_used(level: HeaderExtension) -> None:
    assert settle(offer(LOCAL), accept(their_accept(header_extensions=(level,))), LOCAL.codecs).level_extension is None


@pytest.mark.parametrize(
    ("contents", "condition"),
    [
        ((), "incompatible-parameters"),
        ((their_accept(name="other"),), "incompatible-parameters"),
        ((their_accept(payload_types=(OPUS,)),), "incompatible-parameters"),
        ((their_accept(payload_types=(G722,)),), "incompatible-parameters"),
        ((video(name="audio"),), "unsupported-applications"),
        ((Content(name="audio"),), "unsupported-applications"),
        ((their_accept(transport=None),), "unsupported-transports"),
        ((their_accept(transport=REMOTE.model_copy(update={"fingerprints": ()})),), "security-error"),
    ],
)
def test_an_accept_that_is_no_answer_is_refused(contents: tuple[Content, ...], condition: str) -> None:
    with pytest.raises(NegotiationError) as refused:
        settle(offer(LOCAL), accept(*contents), LOCAL.codecs)
    assert refused.value.reason.condition == condition


# --- laws ---

contents = st.lists(
    st.builds(
        lambda content, name, creator, senders, transport: content.model_copy(
            update={"name": name, "creator": creator, "senders": senders, "transport": transport}
        ),
        st.sampled_from([audio(), video(), audio(payload_types=(PCMU,)), Content(name="x")]),
        st.sampled_from("abc"),
        st.sampled_from(["initiator", "responder"]),
        st.sampled_from(["both", "initiator", "responder", "none"]),
        st.sampled_from([REMOTE, None, Transport(), REMOTE.model_copy(update={"ufrag": "else"})]),
    ),
    max_size=4,
)
groups = st.none() | st.lists(st.sampled_from("abcd"), max_size=4).map(lambda names: bundle(*names))


@given(contents, groups)
def test_any_offer_is_answered_like_an_answer_or_refused_with_a_reason(
    contents: list[Content], group: Group | None
) -> None:
    offered = initiate(*contents, group=group)
    tree = ET.fromstring(offered.to_string())
    try:
        result: Answer = answer(Jingle.parse(tree), LOCAL, foreign_parts(tree))
    except NegotiationError:
        return
    names = [content.name for content in offered.contents]
    assert [content.name for content in result.contents if content.senders != "none"] in ([], [result.settled.name])
    assert len({content.name for content in result.contents}) == len(result.contents)
    for content in result.contents:
        assert content.name in names
        assert described(content).payload_types
        (fingerprint,) = transported(content).fingerprints
        assert fingerprint.setup in ("active", "passive")
    if result.group is not None:
        assert [each.name for each in result.group.contents] == [content.name for content in result.contents]


def test_what_we_offer_we_can_answer() -> None:
    """Our own two halves agree."""
    offered = offer(LOCAL)
    result = answer(initiate(*offered), LOCAL)
    settled = settle(offered, accept(*result.contents), LOCAL.codecs)
    assert {settled.dtls_role, result.settled.dtls_role} == {"active", "passive"}
    assert settled.payload.id == result.settled.payload.id
    assert settled.level_extension == result.settled.level_extension == 1
    assert settled.source == result.settled.source == 42
