"""A fax is begun and stopped, and service discovery tells that it can be (XEP-0342 listings 1, 3, 5 and 6; the others
take as long as faxes do: `tests/client/test_rayo_fax.py`)."""

from __future__ import annotations

import pytest
from PIL import Image

from focus.wire.jid import JID
from focus.xmpp.discovery import DISCO_INFO
from tests.interop.rayo_listings.conftest import Stage

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="package")]


async def test_a_fax_is_begun_and_stopped_in_the_words_of_the_listings(stage: Stage) -> None:
    juliet, alice = await stage.registered("juliet/balcony"), await stage.caller("alice")
    answer = await juliet.ask(stage.service, "get", f"<query xmlns='{DISCO_INFO}'/>")
    features = {feature.get("var") for feature in answer.iter(f"{{{DISCO_INFO}}}feature")}
    assert {"urn:xmpp:rayo:1", "urn:xmpp:rayo:fax:1"} < features

    call = await stage.takes(juliet, alice, stage.at("juliet-desk"))
    Image.new("1", (1728, 100), 1).save(stage.folder / "my_fax.tiff", dpi=(204, 196))
    document = f"<document xmlns='urn:xmpp:rayo:fax:1' url='{(stage.folder / 'my_fax.tiff').as_uri()}'/>"
    for command in (
        "<receivefax xmlns='urn:xmpp:rayo:fax:1'/>",
        f"<sendfax xmlns='urn:xmpp:rayo:fax:1'>{document}</sendfax>",
    ):
        await juliet.forgets()
        juliet.says(f"<iq from='{juliet}' to='{call}' type='set' id='h7ed2'>{command}</iq>")
        result = await juliet.hears(f"""
            <iq from='{call}' to='{juliet}' type='result' id='h7ed2'>
              <ref xmlns='urn:xmpp:rayo:1' uri='*'/>
            </iq>""")
        component = JID.from_uri(result[0].get("uri", ""))
        await juliet.ask(component, "set", "<stop xmlns='urn:xmpp:rayo:ext:1'/>")
        presence = await juliet.expect_child("{urn:xmpp:rayo:ext:1}complete")
        assert (presence.get("from"), presence.get("type")) == (str(component), "unavailable")
        (complete,) = presence.iter("{urn:xmpp:rayo:ext:1}complete")
        assert complete[0].tag == "{urn:xmpp:rayo:ext:complete:1}stop"
        metadata = complete.iter("{urn:xmpp:rayo:fax:complete:1}metadata")
        assert {each.get("name"): each.get("value") for each in metadata}["fax-success"] == "0"
