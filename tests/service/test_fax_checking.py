"""What is known of a fax before anybody is called for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typing_extensions import override

from focus.client import Call, RayoClient
from focus.service.fax import doing
from focus.service.rayo.report import Report
from focus.service.ready import ServiceError
from focus.wire.jid import JID
from focus.wire.rayo_fax import FAX
from tests.engines.faxes import page, write


class Dialled(Exception):
    pass


class Service(RayoClient):
    """Of a service with these features, until somebody is called."""

    def __init__(self, *features: str) -> None:
        super().__init__("me@localhost", "x")
        self._features = {*features}

    @override
    async def features(self) -> set[str]:
        return self._features

    @override
    async def dial(self, to: JID | str, **options: object) -> Call:
        raise Dialled


async def send(client: RayoClient, file: str, pages: str | None = None) -> int:
    return await doing.send(
        client, Report(json=True), "fax@focus.localhost", file, from_=None, identity=None, header=None, pages=pages
    )


@pytest.mark.parametrize(
    ("name", "pages", "why"),
    [
        ("wrong.doc", None, "it is no TIFF, PDF, PNG or JPEG"),
        ("broken.pdf", None, "the PDF cannot be read"),
        ("two.tiff", "5", "there is no page 5, of 2"),
        ("none.tiff", None, "there is no file"),
        ("two.tiff", "2-1", "pages"),
    ],
)
async def test_nobody_is_called_for_what_cannot_be_sent(tmp_path: Path, name: str, pages: str | None, why: str) -> None:
    (tmp_path / "wrong.doc").write_text("Dear Sirs")
    (tmp_path / "broken.pdf").write_text("%PDF-1.7")
    write(tmp_path / "two.tiff", [page(1, height=90), page(2, height=90)])
    with pytest.raises(ServiceError, match=why) as raised:
        await send(Service(FAX), str(tmp_path / name), pages)
    assert raised.value.exit_code == 64
    assert "[fetch]" not in str(raised.value)


async def test_somebody_is_called_for_what_can_be_sent_and_for_what_only_the_service_sees(tmp_path: Path) -> None:
    letter = write(tmp_path / "letter.tiff", [page(1, height=90)])
    for file in (str(letter), "https://files.example.org/letter.tiff", "file:///of/another/machine.tiff"):
        with pytest.raises(Dialled):
            await send(Service(FAX), file)


async def test_nobody_is_called_where_nothing_can_be_faxed() -> None:
    with pytest.raises(ServiceError, match="libspandsp2"):
        await send(Service("urn:xmpp:rayo:1"), "https://files.example.org/letter.tiff")
