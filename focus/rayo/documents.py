"""The documents of an output as sounds: lists of URIs, text, SSML, and audio (XEP-0327 section 7.19.3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from urllib.parse import urljoin

from focus.engines import ssml
from focus.engines.fetching import Fetched, FetchError
from focus.engines.markup import DocumentError
from focus.engines.synthesizer import SAMPLE_RATE, SynthesisError, Synthesizer
from focus.media.threads import in_thread
from focus.rayo.component import Facilities
from focus.rayo.rendering import RenderingError, Silence, SoundFile, Source, Utterance
from focus.wire.conditions import BadRequest, OptionNotSupported, ResourceConstraint, StanzaError
from focus.wire.rayo_output import Document

URI_LIST, PLAIN, SSML = "text/uri-list", "text/plain", "application/ssml+xml"
#: How many sounds one output may have.
MAX_SOUNDS = 100


class Documents:
    """Takes documents, and puts what they come to behind the sounds in `into`."""

    def __init__(self, facilities: Facilities, *, renderer: str | None, voice: str | None, into: list[Source]) -> None:
        """Raises `OptionNotSupported` for a `renderer` that is not there."""
        self._facilities = facilities
        self._synthesizer = _chosen(facilities, renderer)
        self._voice = voice
        self._into = into
        self._known: set[str | None] = set()  # languages in which the voice can speak

    async def take(self, documents: Iterable[Document]) -> None:
        """Raises `StanzaError` where one of them cannot be rendered."""
        try:
            for document in documents:
                if document.url is not None:
                    await self._fetch(document.url.strip())
                else:
                    await self._read(document.content_type or "", document.body or "", base="")
        except DocumentError as error:
            raise BadRequest(str(error)) from None
        except RenderingError as error:
            raise OptionNotSupported(str(error)) from None
        except FetchError as error:
            raise refusal_of(error) from None

    async def _read(self, content_type: str, body: str, *, base: str) -> None:
        kind = content_type.partition(";")[0].strip().lower()
        if kind == URI_LIST:
            for line in body.splitlines():
                if line.strip() and not line.startswith("#"):
                    await self._fetch(urljoin(base, line.strip()), from_list=True)
        elif kind == PLAIN:
            await self._speak(Utterance(" ".join(body.split()), voice=self._voice))
        elif kind == SSML:
            speech = await in_thread(ssml.parse, body, source=base or "document", language=await self._language())
            for piece in speech.pieces:
                await self._piece(piece, speech.language, base)
        else:
            raise OptionNotSupported(f"{content_type[:100]!r} cannot be rendered; {URI_LIST}, {PLAIN} and {SSML} can")

    async def _language(self) -> str:
        """What the voice speaks; "" where it cannot, which is told as soon as it is to."""
        if self._synthesizer is None:
            return ""
        try:
            return await self._synthesizer.language(self._voice)
        except SynthesisError:
            return ""

    async def _piece(self, piece: ssml.Piece, language: str, base: str) -> None:
        if isinstance(piece, ssml.Spoken):
            await self._speak(Utterance(piece.markup, voice=self._voice, language=language or None, markup=True))
            return
        if isinstance(piece, ssml.Paused):
            self._add(Silence(round(piece.seconds * SAMPLE_RATE)))
            return
        try:
            await self._fetch(urljoin(base, piece.src), from_list=True)
        except (FetchError, RenderingError):
            if not piece.instead:
                raise
            for each in piece.instead:
                await self._piece(each, language, base)

    async def _speak(self, utterance: Utterance) -> None:
        if self._synthesizer is None:
            raise OptionNotSupported("there is no speech synthesis here")
        speech = self._facilities.repertoire.recital(self._synthesizer, utterance)
        if utterance.language not in self._known:
            try:
                await speech.check()
            except BaseException:
                await speech.close()
                raise
            if self._into:  # it is not its turn for some time
                await speech.close()
            self._known.add(utterance.language)
        self._add(speech)

    async def _fetch(self, uri: str, *, from_list: bool = False) -> None:
        """`from_list`: it must be sound, so that lists do not lead to lists."""
        if self._facilities.fetch is None:
            raise OptionNotSupported("nothing is fetched here")
        fetched = await self._facilities.fetch(uri)
        kind = _kind(fetched)
        if kind is None or from_list:
            sound = SoundFile(uri, fetched.file)
            try:
                await sound.check()
            except BaseException:
                await sound.close()
                raise
            self._add(sound)
            return
        with closing(fetched.file):
            body = fetched.text()
        await self._read(kind, body, base=fetched.uri)

    def _add(self, sound: Source) -> None:
        self._into.append(sound)
        if len(self._into) > MAX_SOUNDS:
            raise ResourceConstraint(f"an output has {MAX_SOUNDS} sounds at most")


def _chosen(facilities: Facilities, renderer: str | None) -> Synthesizer | None:
    engines = facilities.synthesizers
    if renderer is None:
        return next(iter(engines.values()), None)
    if renderer not in engines:
        raise OptionNotSupported(f"there is no renderer {renderer!r} here; there is {', '.join(engines) or 'none'}")
    return engines[renderer]


def _kind(fetched: Fetched) -> str | None:
    """Of a document that says something; None of sound."""
    if fetched.content_type in (URI_LIST, PLAIN, SSML):
        return fetched.content_type
    if fetched.content_type in ("application/xml", "text/xml") or fetched.uri.partition("?")[0].endswith(".ssml"):
        return SSML
    return None


def refusal_of(error: FetchError) -> StanzaError:
    """Of a command whose document cannot be had."""
    return ResourceConstraint(str(error)) if error.temporary else OptionNotSupported(str(error))
