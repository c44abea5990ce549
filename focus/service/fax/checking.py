"""What can be known of a fax before anybody is called for it."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from focus.client import FaxDocument, RayoClient
from focus.engines.documents import Preparation
from focus.engines.fax import BadHeader, Document, DocumentError, FaxError
from focus.service.ready import ExitCode, ServiceError
from focus.wire.rayo_fax import FAX


async def check_service(client: RayoClient) -> None:
    """Raises `ServiceError` where the service does not fax."""
    if FAX not in await client.features():
        raise ServiceError(
            f"{client.service} does not fax: its log says why; mostly libspandsp is not there (Debian: libspandsp2)",
            ExitCode.FAILED,
        )


async def check_document(file: str, document: FaxDocument) -> None:
    """Make a file of this machine into a fax, as the service will. Raises `ServiceError` where that cannot be done.

    What is elsewhere, or cannot be read here for want of a library, is the service's to judge.
    """
    path = Path(file)
    is_here = path.is_file()  # noqa: ASYNC240 - there is nothing else to do
    if not is_here or any(importlib.util.find_spec(reader) is None for reader in ("PIL", "pypdfium2")):
        return
    wanted = Document(path, file, document.pages, document.header or "")
    with tempfile.TemporaryDirectory(prefix="focus-document-") as folder:
        try:
            await Preparation().prepare([wanted], Path(folder) / "fax.tiff")
        except (DocumentError, BadHeader) as error:
            raise ServiceError(str(error), ExitCode.USAGE) from None
        except FaxError:
            return  # there is no room for it here, as may be elsewhere
