"""Write ``aiosmtpd.1``, the manual page, from the parser of the command line.

Run it after each change of an option::

    python docs/make_manpage.py

It needs nothing but the standard library. A test says when it was forgotten.
"""

from __future__ import annotations

import sys
from argparse import SUPPRESS, Action, ArgumentParser
from pathlib import Path

from aiosmtpd import __version__
from aiosmtpd.arguments import Defaults, make_parser

PAGE = Path(__file__).with_name("aiosmtpd.1")

DESCRIPTION = """\
.B aiosmtpd
listens for mail clients, and hands each message that it accepts to a handler class, which decides
what becomes of it. Without further arguments it listens on localhost, port 8025, and prints every
message to the standard output; nothing else is ever printed there.
.PP
The handler class is any class that can be imported. What it may define is told in the
documentation of the package. If it has a class method
.BR from_cli (\\fIparser\\fR,\\ *\\fIargs\\fR),
that method is given the
.I CLASSARGS
and returns the handler; otherwise the class is called without arguments.
.PP
SIGINT and SIGTERM end the program: it stops listening, lets the commands that are being carried out
finish, tells the clients 421 and exits. A second signal ends it at once.
"""

TAIL = """\
.SH EXIT STATUS
.TP
.B 0
The server was asked to end, and did.
.TP
.B 1
The server could not be started; one line on the standard error says why. With
.BR \\-d ,
the traceback comes before it.
.TP
.B 2
The arguments were wrong; one line on the standard error says how.
.SH EXAMPLES
Print what arrives on port 8025 of this machine:
.PP
.RS
.nf
aiosmtpd \\-n
.fi
.RE
.PP
Started by root: listen on every IPv4 address, on the port that needs root, and store mail as the
user mail, in a directory that this user must own:
.PP
.RS
.nf
install \\-d \\-o mail \\-m 700 /var/spool/aiosmtpd
aiosmtpd \\-\\-user mail \\-l 0.0.0.0:25 \\e
    \\-c aiosmtpd.handlers.Mailbox /var/spool/aiosmtpd
.fi
.RE
.PP
Offer STARTTLS, and insist on it:
.PP
.RS
.nf
aiosmtpd \\-n \\-\\-tlscert cert.pem \\-\\-tlskey key.pem
.fi
.RE
.SH SEE ALSO
.BR python3 (1),
.BR sendmail (8)
"""


def escape(text: str) -> str:
    """Text as roff takes it for text: no escapes, no requests, and hyphens that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


def signature(action: Action) -> str:
    """The names of an option, and its value."""
    value = ""
    if action.nargs != 0:
        name = action.metavar or f"{{{','.join(action.choices or ())}}}"
        value = f"\\fI{escape(str(name))}\\fR"
        if action.nargs in ("?", "*"):
            value = f"[{value}]" if action.nargs == "?" else f"[{value} ...]"
    names = [f"\\fB{escape(name)}\\fR" for name in action.option_strings]
    if not names:
        return value
    return ", ".join(f"{name} {value}".rstrip() for name in names)


def description(parser: ArgumentParser, action: Action) -> str:
    """The help text of an option, with what it refers to filled in."""
    return escape((action.help or "") % {**vars(action), "prog": parser.prog})


def render(parser: ArgumentParser) -> str:
    """The manual page, as roff source.

    Args:
        parser: the parser of the command line.

    Returns:
        The text of ``aiosmtpd.1``.
    """
    # argparse has no public list of the arguments; this attribute is what every tool reads.
    actions = [action for action in parser._actions if action.help != SUPPRESS]
    options = [action for action in actions if action.option_strings]
    rest = [action for action in actions if not action.option_strings]
    lines = [
        '.\\" Made by docs/make_manpage.py; change the parser in aiosmtpd/arguments.py instead.',
        f'.TH AIOSMTPD 1 "" "aiosmtpd {escape(__version__)}" "User Commands"',
        ".SH NAME",
        "aiosmtpd \\- receive mail by SMTP or LMTP, and hand it to a Python class",
        ".SH SYNOPSIS",
        ".B aiosmtpd",
        "[\\fIoption\\fR ...] " + " ".join(signature(action) for action in rest),
        ".br",
        ".B python3 \\-m aiosmtpd",
        "[\\fIoption\\fR ...] " + " ".join(signature(action) for action in rest),
        ".SH DESCRIPTION",
        DESCRIPTION.rstrip(),
        ".SH OPTIONS",
    ]
    for action in options + rest:
        lines += [".TP", signature(action), description(parser, action)]
    return "\n".join([*lines, TAIL])


if __name__ == "__main__":
    sys.exit(0 if PAGE.write_text(render(make_parser(Defaults())), encoding="utf-8") else 1)
