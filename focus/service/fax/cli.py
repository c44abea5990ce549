"""The commands of `focus fax`, and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from focus.service.rayo.cli import EXIT_CODES, Session, session_command

HELP = "Send and receive faxes by a Rayo service."

app = typer.Typer(
    name="fax",
    short_help=HELP,
    help=f"{HELP}\n\nA page takes half a minute or more.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@session_command(group=app)
def send(
    session: Session,
    to: Annotated[str, typer.Argument(metavar="JID", help="Whom to call: a JID or an xmpp: URI.")],
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A TIFF, PDF, PNG or JPEG: a URL that the service can fetch, or a file on its machine, in one of its "
            "\\[fetch] folders.",
        ),
    ],
    identity: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="The telephone number that the other machine is told.")
    ] = None,
    header: Annotated[str | None, typer.Option(metavar="LINE", help="What stands above each page.")] = None,
    pages: Annotated[str | None, typer.Option(metavar="RANGES", help="Which pages, such as 1-2,5.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="JID", help="Who calls, as they see it.")] = None,
) -> int:
    """Call JID and send FILE to the fax machine there. Ctrl-C ends the fax, and says how far it has come: that is exit
    code 75 before it has begun, and 76 then."""
    from focus.service.fax import doing

    return session.run(
        lambda client, report: doing.send(
            client, report, to, file, from_=from_, identity=identity, header=header, pages=pages
        ),
        register=True,
    )


@session_command(group=app)
def receive(session: Session) -> int:
    """Wait for a call that a route gives us, receive its fax, and say where that is. Ctrl-C ends it: what has come is
    kept. That is exit code 0 where nobody has called, as nothing is lost, and 76 else."""
    from focus.service.fax import doing

    return session.run(lambda client, report: doing.receive(client, report), register=True)
