"""The folder of recordings, and of faxes that were received: names that nobody can guess, parts that a crash has left,
and an end to what is kept."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from focus.media.writer import FORMATS, PART, SoundWriter, recover

log = logging.getLogger(__name__)

#: What is kept here besides sound.
FAX = "tiff"
#: The file beside a recording with tracks that says whose they are.
MANIFEST = ".json"
#: Behind the name of a manifest that is being written.
NEW = ".new"
#: What a file is, as the web calls it, by its suffix without the dot.
MEDIA_TYPES = {name: format.media_type for name, format in FORMATS.items()}
MEDIA_TYPES |= {FAX: "image/tiff", MANIFEST.removeprefix("."): "application/json"}
#: Names that we give: 128 bits, of a track a number, and the format.
NAME = re.compile(rf"[0-9a-f]{{32}}(?:(?:-[0-9]{{1,3}})?\.(?:{'|'.join(FORMATS)}|{FAX})|\{MANIFEST})")
#: Beside a recording that the hook has not been given yet: a file of that name and this behind it.
DUE = ".due"
#: Bytes that must be free for a recording to begin.
ROOM = 50_000_000
#: How often it is looked for what is too old, in seconds.
LOOK = 600.0
#: For how long a hook may be at work, in seconds.
HOOK_TIMEOUT = 3600.0


class RecordingsError(Exception):
    """Nothing can be recorded; the message says why."""


class Recordings:
    """Recordings in `folder`, found at `base` (a URL that ends in a slash), or by `file:` URIs without one. They are
    for our own user only; so is the folder, unless it was there before.

    `keep`: seconds after which they are deleted, None: never. `hook`: a program that is run for each recording, with
    its path and its URI. `mend`: by format, what makes whole what a crash has left and returns where it is then, or
    None where nothing can be read, and raises OSError where the disk fails; what is sound is known here.
    """

    def __init__(
        self,
        folder: Path,
        *,
        base: str | None = None,
        keep: float | None = None,
        hook: Path | None = None,
        mend: Mapping[str, Callable[[Path], Path | None]] | None = None,
    ) -> None:
        self.folder = folder
        self._base = base
        self._keep = keep
        self._hook = hook
        self._mend = dict.fromkeys(FORMATS, recover) | {MANIFEST.removeprefix("."): _renamed} | dict(mend or {})
        self._finished: asyncio.Queue[Path] = asyncio.Queue()
        #: How many are whole, were recovered, put off until the disk lets them be, lost or deleted as too old, and how
        #: often the hook has failed.
        self.counted: Counter[str] = Counter()

    def make_folder(self) -> None:
        """Make the folder where there is none. Raises `RecordingsError` where nothing can be written to it; blocks,
        for the disk."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self.folder / f".{secrets.token_hex(8)}"
            probe.touch(mode=0o600)
            probe.unlink()
        except OSError as error:
            raise RecordingsError(f"nothing can be written to the folder of recordings: {error.strerror}") from None

    def new(self, format: str) -> Path:
        """Where a recording in `format` can be. Raises `RecordingsError`; blocks, for the disk."""
        self.make_folder()
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise RecordingsError(f"the folder of recordings cannot be asked for space: {error.strerror}") from None
        if free < ROOM:
            raise RecordingsError("the disk with the recordings is full")
        return self.folder / f"{secrets.token_hex(16)}.{format}"

    def uri(self, path: Path) -> str:
        return f"{self._base}{path.name}" if self._base else path.absolute().as_uri()

    def bring_in(self, writer: SoundWriter) -> int:
        """Make what `writer` has written whole; its size in bytes. Raises `WriteError`; blocks, for the disk."""
        self.make_due(writer.path)
        return writer.close()

    def finished(self, path: Path) -> None:
        """A recording is whole, or a track of one, or the manifest of its tracks."""
        self.counted["whole"] += path.suffix != MANIFEST
        self._finished.put_nowait(path)

    def failed(self, path: Path) -> None:
        """A recording could not be brought in; what there is of it may be recovered at the next start."""
        self.counted["lost"] += 1
        log.error("a recording is lost, or a part of it: %s", path.name)

    async def run(self) -> None:
        """Make whole what an earlier run has left, then serve the hook and delete what is too old; until cancelled. A
        disk that fails is told of in the log: calls go on without it."""
        try:
            for path in await asyncio.to_thread(self._left_over):
                self._finished.put_nowait(path)
        except OSError as error:
            log.error("it cannot be seen what an earlier run has left of recordings: %s", error.strerror)
        while True:
            await asyncio.to_thread(self.expire)
            try:
                async with asyncio.timeout(LOOK):
                    path = await self._finished.get()
            except TimeoutError:
                continue
            try:
                await self._hand_over(path)
            finally:
                self._finished.task_done()

    async def handed_over(self, within: float) -> None:
        """Return when the hook has been given all that is whole, or so many seconds have passed; what is left then is
        given to it at the next start."""
        try:
            async with asyncio.timeout(within):
                await self._finished.join()
        except TimeoutError:
            log.warning("the hook has not been given all recordings; it is given the others at the next start")

    def _left_over(self) -> list[Path]:
        """What the hook is to be given of an earlier run, all of it whole now."""
        recovered = self.recover()
        due = []
        for mark in sorted(self.folder.glob(f"*{DUE}")) if self.folder.is_dir() else ():
            path = mark.with_name(mark.name.removesuffix(DUE))
            if NAME.fullmatch(path.name) and path.is_file():
                due.append(path)
            elif NAME.fullmatch(path.name) and not path.with_name(path.name + PART).exists():
                _take_away(mark)
        return [*dict.fromkeys((*recovered, *due))]

    def make_due(self, path: Path) -> None:
        """Have `path`, which is about to be whole, given to the hook, by a later run if need be. Blocks."""
        if self._hook is not None:
            with suppress(OSError):  # then it is given to the hook by this run, or not at all
                path.with_name(path.name + DUE).touch(mode=0o600)

    def recover(self) -> list[Path]:
        """Recordings that had not been ended, and are whole now."""
        found = []
        for new in self.folder.glob(f"*{MANIFEST}{PART}{NEW}") if self.folder.is_dir() else ():
            if NAME.fullmatch(new.name.removesuffix(PART + NEW)):
                _take_away(new)
        for part in sorted(self.folder.glob(f"*{PART}")) if self.folder.is_dir() else ():
            name = part.name.removesuffix(PART)
            mend = self._mend.get(name.rpartition(".")[2])
            if mend is None or not NAME.fullmatch(name):
                continue
            self.make_due(part.with_name(name))
            try:
                whole = mend(part)
                if whole is None:
                    log.error("nothing can be recovered of %s", part.name)
                    part.rename(part.with_name(f"{part.name}.lost"))
            except OSError as error:
                log.error("%s is recovered at a later start: %s", part.name, error.strerror)
                self.counted["put-off"] += 1
                continue
            if whole is not None:
                log.warning("a recording that was cut short has been recovered: %s", whole.name)
                found.append(whole)
            self.counted["lost" if whole is None else "recovered"] += 1
        return found

    def expire(self) -> None:
        """Delete what is too old."""
        if self._keep is None:
            return
        oldest, kept = time.time() - self._keep, []
        try:
            paths = list(self.folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("it cannot be seen which recordings are too old: %s", error.strerror)
            return
        for path in paths:
            try:
                if NAME.fullmatch(path.name) and path.stat().st_mtime < oldest:
                    path.unlink()
                    self.counted["deleted"] += 1
                    log.info("a recording has been deleted, as it is older than is kept: %s", path.name)
            except FileNotFoundError:
                pass  # somebody else has
            except OSError as error:
                kept.append(error)
        if kept:
            log.error("%d recordings that are older than is kept cannot be deleted: %s", len(kept), kept[0].strerror)

    async def _hand_over(self, path: Path) -> None:
        if self._hook is None:
            return
        if not await self._run(self._hook, path):
            self.counted["hook-failed"] += 1
        _take_away(path.with_name(path.name + DUE))

    async def _run(self, hook: Path, path: Path) -> bool:
        """Whether `hook` has done its work with the recording at `path`."""
        try:
            process = await asyncio.create_subprocess_exec(
                hook, path, self.uri(path), stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            log.error("%s cannot be run for %s: %s", hook, path.name, error.strerror)
            return False
        try:
            async with asyncio.timeout(HOOK_TIMEOUT):
                if code := await process.wait():
                    log.error("%s ended with %d for %s, which stays where it is", hook, code, path.name)
                    return False
        except TimeoutError:
            log.error("%s took more than %g s for %s", hook, HOOK_TIMEOUT, path.name)
            return False
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        log.info("%s has been run for %s", hook, path.name)
        return True


def _take_away(mark: Path) -> None:
    """Where the disk does not let it stays, until a later start."""
    try:
        mark.unlink(missing_ok=True)
    except OSError as error:
        log.error("%s cannot be taken away: %s", mark.name, error.strerror)


def _renamed(part: Path) -> Path:
    """A manifest is whole as it is."""
    return part.rename(part.with_suffix(""))
