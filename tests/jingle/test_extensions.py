"""What a description has besides its codecs: feedback (XEP-0293), header extensions (XEP-0294), groups (XEP-0338) and
sources (XEP-0339), offered by others and answered by us."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from focus.jingle.negotiation import answer, offer, settle, with_setup
from focus.wire.jingle import Action, Jingle
from focus.wire.rtp import AUDIO_LEVEL, MIXED_LEVELS, RTCP_FB, RTP, RTP_HDREXT, SSMA, HeaderExtension

from .test_negotiation import LOCAL, REMOTE, accept, audio, bundle, described, initiate, video

CHILDREN = (
    f"<rtcp-fb xmlns='{RTCP_FB}' type='nack'/><rtcp-fb-trr-int xmlns='{RTCP_FB}' value='100'/>"
    f"<extmap-allow-mixed xmlns='{RTP_HDREXT}'/>"
    f"<rtp-hdrext xmlns='{RTP_HDREXT}' id='6' uri='{AUDIO_LEVEL}' senders='initiator'>"
    "<parameter name='vad' value='on'/></rtp-hdrext>"
    f"<ssrc-group xmlns='{SSMA}' semantics='FID'><source ssrc='4242'/><source ssrc='4243'/></ssrc-group>"
    f"<source xmlns='{SSMA}' ssrc='4242'><parameter name='cname' value='theirs'/></source>"
    f"<source xmlns='{SSMA}' ssrc='4243'><parameter name='cname' value='theirs'/></source>"
)


def full() -> Jingle:
    """An offer with everything in it, read as from a stream; its payload types have feedback too."""
    tree = initiate(audio(), video(), group=bundle("0", "1")).to_element()
    for description in tree.iter(f"{{{RTP}}}description"):
        description.extend(ET.fromstring(f"<children>{CHILDREN}</children>"))
        for payload in description.iter(f"{{{RTP}}}payload-type"):
            payload.extend(ET.fromstring(f"<children><rtcp-fb xmlns='{RTCP_FB}' type='transport-cc'/></children>"))
    return Jingle.parse(tree)


def written() -> list[ET.Element]:
    """The contents of our answer to that, and of an offer of ours."""
    contents = (*answer(full(), LOCAL).contents, *offer(LOCAL))
    assert [described(each).media for each in contents] == ["audio", "video", "audio"]
    return [each.to_element() for each in contents]


@pytest.mark.parametrize("name", ["rtcp-fb", "rtcp-fb-trr-int"])
def test_no_feedback_is_asked_for_and_none_is_kept(name: str) -> None:
    """XEP-0293 section 4: what is not to be provided is removed, from payload types and from whole contents."""
    assert not [each for content in written() for each in content.iter(f"{{{RTCP_FB}}}{name}")]


def test_the_forms_of_extensions_are_not_mixed() -> None:
    """XEP-0294 section 4: the one-byte form is all we use, so that it need not be allowed."""
    assert not [each for content in written() for each in content.iter(f"{{{RTP_HDREXT}}}extmap-allow-mixed")]


def test_an_extension_is_answered_as_it_was_offered() -> None:
    """XEP-0294 section 4: number, senders and parameters."""
    (offered,) = described(full().contents[0]).header_extensions
    assert (offered.id, offered.senders, len(offered.parameters)) == (6, "initiator", 1)
    answered = answer(full(), LOCAL)
    assert described(answered.contents[0]).header_extensions == (offered,)
    assert described(answered.contents[1]).header_extensions == ()
    assert answered.settled.level_extension == 6


@pytest.mark.parametrize("senders", ["both", "initiator", "responder"])
def test_an_answer_may_leave_fewer_who_send_an_extension(senders: str) -> None:
    """XEP-0294 section 4: both becomes one of them, and what was one stays so."""
    ours = offer(LOCAL)
    levels, mixed = described(ours[0]).header_extensions
    assert (levels.uri, levels.senders) == (AUDIO_LEVEL, None)
    assert (mixed.uri, mixed.senders) == (MIXED_LEVELS, "initiator")
    fewer = HeaderExtension.model_validate({"id": levels.id, "uri": levels.uri, "senders": senders})
    accepted = audio(
        name="audio",
        payload_types=described(ours[0]).payload_types[:1],
        header_extensions=(fewer, mixed),
        transport=with_setup(REMOTE, "active"),
    )
    settled = settle(ours, accept(accepted), LOCAL.codecs)
    assert (settled.level_extension, settled.mixed_extension) == (levels.id, mixed.id)


def test_of_several_sources_the_first_is_who_speaks_and_groups_of_them_mean_nothing() -> None:
    """XEP-0339 section 2."""
    result = answer(full(), LOCAL)
    assert result.settled.source == 4242
    assert not [each for content in written() for each in content.iter(f"{{{SSMA}}}ssrc-group")]
    (source,) = described(result.contents[0]).sources
    assert {each.name: each.value for each in source.parameters} == {"cname": "cname", "msid": "cname cname-audio"}
    assert described(result.contents[1]).sources == (), "nothing is sent there"


def test_of_several_groups_the_first_is_read() -> None:
    """XEP-0338 section 2 has one in its listings; without a bundle the video is left out."""
    tree = initiate(audio(), video()).to_element()
    for semantics in ("LS", "BUNDLE"):
        group = bundle("0", "1").model_copy(update={"semantics": semantics})
        tree.append(group.to_element())
    read = Jingle.parse(tree)
    assert read.group is not None
    assert read.group.semantics == "LS"
    assert read.action is Action.SESSION_INITIATE
    answered = answer(read, LOCAL)
    assert answered.group is None
    assert [each.name for each in answered.contents] == ["0"]


def test_we_offer_no_group_as_we_offer_one_content() -> None:
    assert len(offer(LOCAL)) == 1
