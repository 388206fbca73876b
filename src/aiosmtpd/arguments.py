"""The arguments of the command line: which there are, what they mean, and which cannot be meant.

It knows the options and their texts, from which the manual page is made, and what can be said of their
values without doing anything: no address is bound here, no certificate is loaded, no handler is made.
"""

from __future__ import annotations

import math
import os
import socket
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from . import __version__
from .extensions import BUILT_IN, DEFAULT
from .networks import networks_of
from .smtp import DATA_SIZE_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "DEFAULT_USER",
    "PROGRAM",
    "Defaults",
    "make_parser",
    "read_arguments",
]

DEFAULT_USER = "nobody"

PROGRAM = Path(sys.argv[0]).name
if PROGRAM in ("", "-c", "__main__.py"):  # not run as a command of its own
    PROGRAM = "aiosmtpd"


class Defaults(NamedTuple):
    """What is meant where the command line does not say.

    Attributes:
        host: where to listen.
        port: the TCP port.
        classpath: the handler class, as ``package.module.Class``.
        program: the name of the command.
    """

    host: str = "localhost"
    port: int = 8025
    classpath: str = "aiosmtpd.handlers.Debugging"
    program: str = PROGRAM


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End the program with one line; for the usage there is ``--help``."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def make_parser(defaults: Defaults) -> ArgumentParser:
    """Make the parser of the command line; the manual page is made from it too."""
    parser = _Parser(
        prog=defaults.program,
        add_help=False,
        description="An SMTP and LMTP server (RFC 5321, RFC 2033) that hands the mail it receives "
        "to a handler class written in Python.",
    )
    parser.add_argument("-h", "--help", action="help", help="Print this help and end.")
    parser.add_argument(
        "-v",
        "--version",
        action="version",
        version=f"%(prog)s {__version__}",
        help="Print the version and end.",
    )
    _add_process_arguments(parser, defaults)
    _add_protocol_arguments(parser)
    _add_listen_arguments(parser, defaults)
    _add_tls_arguments(parser)
    parser.add_argument(
        "classargs",
        metavar="CLASSARGS",
        nargs="*",
        default=(),
        help="What the handler class is to be made with: the strings are handed to its "
        "from_cli(). Put -- before arguments that begin with a dash.",
    )
    return parser


def _add_process_arguments(parser: ArgumentParser, defaults: Defaults) -> None:
    user = parser.add_mutually_exclusive_group()
    user.add_argument(
        "-n",
        "--nosetuid",
        dest="setuid",
        default=True,
        action="store_false",
        help="Stay the user who started the program. Needed by everybody but root, and on Windows.",
    )
    user.add_argument(
        "--user",
        metavar="NAME",
        default=DEFAULT_USER,
        help="Once the address is bound and the keys are read, become this user, with this user's "
        "groups (default: %(default)s). The handler is made after that, so this user must be able "
        "to reach and write whatever it needs.",
    )
    parser.add_argument(
        "-c",
        "--class",
        dest="classpath",
        metavar="CLASSPATH",
        default=defaults.classpath,
        help="The handler class, as package.module.Class (default: %(default)s, which prints each "
        "message to the standard output).",
    )
    parser.add_argument(
        "-d",
        "--debug",
        action="count",
        default=0,
        help="Log to the standard error: given once the commands of the clients, twice the replies "
        "as well, three times also what asyncio's debug mode finds.",
    )
    parser.add_argument(
        "--loop",
        choices=("auto", "asyncio", "uvloop"),
        default="auto",
        help="The event loop to run on; auto takes uvloop where it is installed, which is faster "
        "(default: %(default)s).",
    )


def _add_protocol_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-s",
        "--size",
        metavar="SIZE",
        type=int,
        help="The largest message that is accepted, in octets, announced with the SIZE extension "
        f"(RFC 1870); 0 for no limit (default: {DATA_SIZE_DEFAULT}).",
    )
    parser.add_argument(
        "-u",
        "--smtputf8",
        action="store_true",
        help="Offer SMTPUTF8 (RFC 6531): addresses and headers in UTF-8.",
    )
    parser.add_argument(
        "--extension",
        metavar="NAME",
        action="append",
        help="Offer this ESMTP extension too; may be given several times. There are "
        f"{', '.join(BUILT_IN)}. What some of them are good for, the handler class has to see to.",
    )
    parser.add_argument(
        "--lmtp",
        action="store_true",
        help="Speak LMTP (RFC 2033) instead of SMTP; not on TCP port 25.",
    )
    parser.add_argument(
        "--proxy-protocol",
        metavar="SECONDS",
        type=float,
        help="Expect a PROXY protocol header (version 1 or 2) within this time, 3 seconds or more by "
        "the protocol's advice. Without --proxy-network it is expected from every client, and unless "
        "the handler class has a handle_PROXY to judge it, every well-formed header is believed, so "
        "nobody but the proxy may be able to reach the server.",
    )
    parser.add_argument(
        "--proxy-network",
        metavar="NETWORK",
        action="append",
        help="Expect a PROXY protocol header from this network or address only, and believe it; "
        "everybody else is served without one. May be given several times. The header must come "
        "within 5 seconds, unless --proxy-protocol says otherwise.",
    )


def _add_listen_arguments(parser: ArgumentParser, defaults: Defaults) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-l",
        "--listen",
        metavar="[HOST][:PORT]",
        nargs="?",
        help="The address to listen on; an IPv6 address goes into brackets when a port follows. "
        f"What is left out is {defaults.host} and {defaults.port}. An empty HOST in quotes, without "
        "a port, means every interface; with port 0 the system chooses one, and it is told on the "
        "standard error.",
    )
    where.add_argument(
        "--unix",
        metavar="PATH",
        type=Path,
        help="Listen on a Unix socket at this path instead of a TCP port. It belongs to the user "
        "of --user, and the umask says who else may connect.",
    )


def _add_tls_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--smtpscert",
        metavar="CERTFILE",
        type=Path,
        help="The certificate chain, in PEM form, for TLS from the first octet on (SMTPS, "
        "RFC 8314). Needs --smtpskey.",
    )
    parser.add_argument(
        "--smtpskey", metavar="KEYFILE", type=Path, help="The private key of --smtpscert."
    )
    parser.add_argument(
        "--tlscert",
        metavar="CERTFILE",
        type=Path,
        help="The certificate chain, in PEM form, for STARTTLS (RFC 3207). Needs --tlskey.",
    )
    parser.add_argument(
        "--tlskey", metavar="KEYFILE", type=Path, help="The private key of --tlscert."
    )
    parser.add_argument(
        "--no-requiretls",
        dest="requiretls",
        default=True,
        action="store_false",
        help="Accept mail before STARTTLS too. Without --tlscert nothing is required anyway.",
    )
    parser.add_argument(
        "--users",
        metavar="FILE",
        type=Path,
        help="Accept mail only after AUTH (RFC 4954), from the users in this file: lines of a name, a "
        "colon and a hash of argon2, bcrypt or SCRAM. It is read again when it has changed, so the "
        "user of --user must be able to read it too. Needs TLS: --tlscert or --smtpscert.",
    )


def read_arguments(
    args: Sequence[str] | None, defaults: Defaults
) -> tuple[ArgumentParser, Namespace]:
    """Read the command line, and judge what can be judged before any code of a handler runs.

    Args:
        args: the arguments without the program's name; None stands for ``sys.argv[1:]``.
        defaults: what is meant where they do not say.

    Returns:
        The parser, and the namespace: an attribute for each option, and ``host`` and ``port`` from
        ``--listen``.

    Raises:
        SystemExit: with status 0 after ``--help`` and ``--version``, with 2 after a fault in the
            arguments.
    """
    parser = make_parser(defaults)
    parsed = parser.parse_args(args)
    parsed.host, parsed.port = _listen_address(parser, parsed.listen, defaults)
    if parsed.size is not None and parsed.size < 0:
        parser.error(f"Invalid size: {parsed.size}")
    if parsed.lmtp and parsed.unix is None and parsed.port == 25:
        parser.error("LMTP must not be used on TCP port 25 (RFC 2033 section 5)")
    if parsed.unix is not None and sys.platform == "win32":
        parser.error("--unix is not supported on Windows")
    if parsed.unix is not None and parsed.proxy_network is not None:
        parser.error("--proxy-network is of no use with --unix, where nobody has an address")
    if parsed.extension is not None:
        parsed.extension = _extension_names(parser, parsed.extension)
    seconds = parsed.proxy_protocol
    if seconds is not None and not (seconds > 0 and math.isfinite(seconds)):
        parser.error("--proxy-protocol takes a number of seconds greater than 0")
    if parsed.proxy_network is not None:
        try:
            parsed.proxy_network = networks_of("--proxy-network", parsed.proxy_network)
        except ValueError as error:
            parser.error(str(error))
    for option in ("smtps", "tls"):
        _check_key_pair(parser, parsed, option)
    if parsed.users is not None and parsed.tlscert is None and parsed.smtpscert is None:
        parser.error("--users needs --tlscert or --smtpscert: passwords are not taken without TLS")
    return parser, parsed


def _listen_address(
    parser: ArgumentParser, listen: str | None, defaults: Defaults
) -> tuple[str, int]:
    """Take ``[HOST][:PORT]`` apart; what is left out has its default."""
    if listen is None:
        return defaults.host, defaults.port
    host, colon, port = listen.rpartition(":")
    if not colon or port.endswith("]") or (_is_ipv6(listen) and not _is_ipv6(host)):
        # No port: a name, "[::1]" or "::1". Where both readings of an address without brackets
        # are possible, as in "::1:25", the last group is the port.
        host, port = listen, ""
    elif not host:
        host = defaults.host
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not _is_ipv6(host):
            parser.error(f"Invalid IPv6 address: {host}")
    elif ":" in host and not _is_ipv6(host):
        parser.error(f"Invalid host name: {host}")
    if not port:
        return host, defaults.port
    if not port.isascii() or not port.isdecimal() or int(port) > 65535:
        parser.error(f"Invalid port number: {port}")
    return host, int(port)


def _is_ipv6(text: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, text.partition("%")[0])  # a zone index may follow
    except (OSError, ValueError):  # ValueError: a NUL
        return False
    return True


def _extension_names(parser: ArgumentParser, names: list[str]) -> list[str]:
    """Give the names of extensions as they are registered, each once."""
    found = list(dict.fromkeys(name.upper() for name in names))
    offered = {extension.name for extension in DEFAULT}
    for name in found:
        if name == "SMTPUTF8":
            parser.error("The extension SMTPUTF8 is added by -u")
        if name in offered:
            parser.error(f"The extension {name} is there already")
        if name in ("XCLIENT", "XFORWARD"):
            parser.error(f"The extension {name} needs networks, which a program can give it")
        if name not in BUILT_IN:
            parser.error(f"Unknown extension: {name}; there are {', '.join(BUILT_IN)}")
    return found


def _check_key_pair(parser: ArgumentParser, parsed: Namespace, option: str) -> None:
    """Say of ``--tlscert`` and ``--tlskey``, or the pair for SMTPS, which file is the trouble."""
    cert, key = getattr(parsed, f"{option}cert"), getattr(parsed, f"{option}key")
    if (cert is None) != (key is None):
        parser.error(f"--{option}cert and --{option}key must be specified together")
    for kind, path in (("Cert", cert), ("Key", key)):
        if path is None:
            continue
        try:
            path.open("rb").close()
        except FileNotFoundError:
            parser.error(f"{kind} file {path} not found")
        except OSError as error:
            parser.error(f"{kind} file {path} cannot be read: {os.strerror(error.errno or 0)}")
