"""MT-PRIORITY (RFC 6710): how urgent a message is, on a scale from -9 to 9.

The extension reads the number. Whether the client may ask for it, and what comes of it, is policy: a
hook lowers or refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from ..protocol import MalformedParameters
from .base import Extension, Server

__all__ = ["MtPriority"]

#   RFC 6710: priority-value = (["-"] NZDIGIT) / "0"
_PRIORITY = re.compile(r"-?[1-9]|0")
# The ehlo-param of RFC 5321 section 4.1.1.1, which a name of a profile is.
_EHLO_PARAM = re.compile(r"[!-~]+")


class MtPriority(Extension):
    """``MT-PRIORITY``; the parameter's value is an int from -9 to 9.

    Args:
        profile: the name of the priority assignment policy that is in force, such as ``"MIXER"``;
            None to name none.

    Raises:
        ValueError: ``profile`` is no word of printable ASCII.
    """

    name = "MT-PRIORITY"
    mail_parameters = frozenset({"MT-PRIORITY"})
    longer: ClassVar[Mapping[str, int]] = {"MAIL": 15}  # RFC 6710

    def __init__(self, profile: str | None = None) -> None:
        if profile is not None and not _EHLO_PARAM.fullmatch(profile):
            raise ValueError(f"profile: {profile!r} is not a word of printable ASCII")
        self.profile = profile

    def ehlo_line(self, server: Server) -> str:
        """Offer it, with the name of the profile."""
        return self.name if self.profile is None else f"{self.name} {self.profile}"

    def parse_mail(self, server: Server, keyword: str, value: str | None) -> int:
        """Give the priority.

        Raises:
            MalformedParameters: it is no integer from -9 to 9.
        """
        if value is None or not _PRIORITY.fullmatch(value):
            raise MalformedParameters
        return int(value)
