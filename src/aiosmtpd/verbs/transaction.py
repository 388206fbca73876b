"""The verbs of a mail transaction: MAIL, RCPT, DATA, RSET (RFC 5321 section 3.3)."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..extensions.smtputf8 import without_utf8
from ..protocol import (
    Body,
    BodyError,
    BodyIncomplete,
    MalformedAddress,
    MalformedParameters,
    Phase,
    ProtocolError,
    encode_reply,
    phase_of,
    refusal,
)
from ..protocol import reply as replies
from ..protocol.grammar import parse_parameters, parse_reverse_path, split_mailbox
from ..streams import BodyStream, ChunkStream
from .at_once import at_once
from .base import MISSING, Verbs, syntax, warn_deprecated
from .replies import replies_by_recipient, reply_for_all

__all__ = ["TransactionVerbs"]

log = logging.getLogger("mail.log")

_PATH_KEYWORDS = {"MAIL": "FROM:", "RCPT": "TO:"}
_OK = encode_reply(replies.OK)
_NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({})
_START_DATA = encode_reply(replies.START_DATA)


def _options(parameters: dict[str, str | None]) -> list[str]:
    """The parameters as 1.4 gives them: a flat list in upper case."""
    return [
        keyword if value is None else f"{keyword}={value.upper()}"
        for keyword, value in parameters.items()
    ]


def _is_about(fault: BodyError, failure: Exception) -> bool:
    """Tell whether a hook failed by nothing but the fault of the body that it read."""
    if isinstance(failure, ExceptionGroup):  # of a task group that it read the body in
        return all(_is_about(fault, part) for part in failure.exceptions)
    return failure is fault


class TransactionVerbs(Verbs):
    """The verbs that change the envelope."""

    async def _is_refused_early(self, verb: str) -> bool:
        """Refuse what comes before a greeting, or before AUTH where it is required."""
        return await self.check_helo_needed() or await self.check_auth_needed(verb)

    async def _is_out_of_order(self, verb: str) -> bool:
        """Refuse what may not come now in a transaction."""
        refused = self._refused(verb)
        if refused is not None:
            await self.push(refused)
        return refused is not None

    def _refused(self, verb: str) -> replies.Reply | None:
        phase = phase_of(self.session, self.envelope)
        # check_helo_needed() may be overridden to let mail in without a greeting.
        return refusal(verb, Phase.GREETED if phase is Phase.CONNECTED else phase)

    async def _is_refused(self, verb: str) -> bool:
        return await self._is_refused_early(verb) or await self._is_out_of_order(verb)

    # -- paths ------------------------------------------------------------------------------------

    def _strip_command_keyword(self, keyword: str, arg: str) -> str | None:
        """Give what follows ``keyword`` in ``arg``, or None if it does not begin with it."""
        size = len(keyword)
        return arg[size:].strip() if arg[:size].upper() == keyword else None

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Split a path from what follows it; (None, None) if it is malformed."""
        try:
            address, rest = parse_reverse_path(arg, utf8=self.enable_SMTPUTF8)
        except MalformedAddress:
            return None, None
        if self.local_part_limit:
            local_part = split_mailbox(address)[0]
            if len(local_part.encode("utf-8")) > self.local_part_limit:
                return None, None
        return address, rest

    def _getparams(self, params: Sequence[str]) -> dict[str, str | bool] | None:
        """Parse parameters that were split at spaces: True for one without a value, None if bad."""
        try:
            parsed = parse_parameters(" ".join(params), utf8=self.enable_SMTPUTF8)
        except MalformedParameters:
            return None
        return {keyword: True if value is None else value for keyword, value in parsed.items()}

    # -- the argument of MAIL and RCPT ------------------------------------------------------------

    def _parse_path(self, verb: str, arg: str | None) -> tuple[str, dict[str, str | None]]:
        """Parse the argument of MAIL or RCPT into a mailbox and its parameters.

        Raises:
            ProtocolError: it is malformed, or a parameter is not known or not allowed.
        """
        text = self._strip_command_keyword(_PATH_KEYWORDS[verb], arg) if arg else None
        if not text:
            raise ProtocolError(reply=self._syntax_error(verb))
        address, rest = self._getaddr(text)
        if address is None or (address == "<>" and verb == "RCPT"):
            raise MalformedAddress
        if not rest:
            return address, {}
        if not self.session.extended_smtp:
            raise ProtocolError(reply=self._syntax_error(verb))
        try:
            parameters = parse_parameters(rest, utf8=self.enable_SMTPUTF8)
        except MalformedParameters as fault:
            raise ProtocolError(reply=self._syntax_error(verb)) from fault
        return address, parameters

    def _syntax_error(self, verb: str) -> replies.Reply:
        method = self._find_verb(verb)
        assert method is not None
        return replies.Reply(501, None, f"Syntax: {self._syntax_of(method)}")

    def _understand(self, verb: str, address: str, given: dict[str, str | None]) -> dict[str, Any]:
        """Have the parameters of MAIL or RCPT parsed and judged by the extensions.

        Raises:
            ProtocolError: one is not known or not allowed.
        """
        parameters: dict[str, Any] = {}
        self.parameters = parameters
        if not given and not self._table.checks:
            return parameters
        of_mail = verb == "MAIL"
        table = self._table.mail if of_mail else self._table.rcpt
        for keyword, value in given.items():
            extension = table.get(keyword)
            if extension is None:
                raise ProtocolError(
                    reply=replies.MAIL_PARAMETERS_UNKNOWN
                    if of_mail
                    else replies.RCPT_PARAMETERS_UNKNOWN
                )
            parse = extension.parse_mail if of_mail else extension.parse_rcpt
            try:
                parameters[keyword] = parse(self, keyword, value)
            except MalformedParameters as fault:
                raise ProtocolError(reply=self._syntax_error(verb)) from fault
        self._check(verb, address, parameters)
        return parameters

    def _check(self, verb: str, address: str | None, parameters: dict[str, Any]) -> None:
        """Let the extensions that wish to judge a command as a whole.

        Raises:
            ProtocolError: one refuses it.
        """
        for extension in self._table.checks.get(verb, ()):
            extension.check(self, verb, address, parameters)

    # -- the transaction --------------------------------------------------------------------------

    def _parse_rest(self, rest: bytes | None) -> dict[str, str | None]:
        """Parse what follows the path of a plain command, if anything does.

        Raises:
            MalformedParameters: it is no list of parameters, or the client did not ask for extensions.
        """
        if rest is None:
            return {}
        if not self.session.extended_smtp:
            raise MalformedParameters
        return parse_parameters(rest.decode(), utf8=self.enable_SMTPUTF8)

    def _begin_at_once(self, path: bytes | None, rest: bytes | None) -> bytes | None:
        if (
            path is None
            or self.local_part_limit
            or self._sender_policy is not None
            or hasattr(self.event_handler, "handle_MAIL")
            or not self._is_in_order("MAIL")
            or log.isEnabledFor(logging.INFO)  # since the last command that was run
        ):
            return None
        address = path.decode() or "<>"
        if rest is None and not self._table.checks:  # there is nothing to parse, and nobody to ask
            envelope = self.envelope
            self.parameters = envelope.mail_parameters = {}
            envelope.smtp_utf8 = False
            envelope.mail_from = address
            return _OK
        options = self._note_sender(address, self._parse_rest(rest))
        self._accept_sender(address, options)
        return _OK

    def _note_sender(self, address: str, given: dict[str, str | None]) -> list[str]:
        """Note what MAIL says of the message; give its parameters as 1.4 does."""
        parameters = self._understand("MAIL", address, given)
        envelope = self.envelope
        envelope.mail_parameters = parameters
        envelope.smtp_utf8 = "SMTPUTF8" in parameters
        return _options(given) if given else []

    def _accept_sender(self, address: str, options: list[str]) -> None:
        envelope = self.envelope
        envelope.mail_from = address
        if options:
            envelope.mail_options.extend(options)

    @syntax("MAIL FROM: <address>", extended=" [SP <mail-parameters>]")
    @at_once(_begin_at_once)
    async def smtp_MAIL(self, arg: str | None) -> None:
        """Begin a transaction (RFC 5321 section 4.1.1.2)."""
        in_order = self._may_come("MAIL")
        if not in_order and await self._is_refused_early("MAIL"):
            return
        address, given = self._parse_path("MAIL", arg)
        if not in_order and await self._is_out_of_order("MAIL"):
            return
        options = self._note_sender(address, given)
        if (
            self._sender_policy is not None
            and (refused := await self._refused_by_policy(address)) is not None
        ):
            await self.push(refused)
            return
        status = await self._call_handler_hook("MAIL", address, options)
        if status is MISSING:
            self._accept_sender(address, options)
            status = replies.OK
        else:
            status = self._default_for(status, replies.OK, "MAIL")
        if self._verbose:
            log.info("%r sender: %s", self.session.peer, address)
        await self.push(status)

    def _add_at_once(self, path: bytes | None, rest: bytes | None) -> bytes | None:
        if (
            not path
            or self.local_part_limit
            or hasattr(self.event_handler, "handle_RCPT")
            or not self._is_in_order("RCPT")
            or len(self.envelope.rcpt_tos) >= self.recipient_limit
        ):
            return None
        address = path.decode()
        given: dict[str, str | None] = {}
        if rest is None and not self._table.checks:  # as in MAIL
            parameters = self.parameters = {}
        else:
            given = self._parse_rest(rest)
            parameters = self._understand("RCPT", address, given)
        if self.recipient_domain_limit is not None:
            self._count_domain(address, self.recipient_domain_limit)
        if given:
            self.envelope.rcpt_options.extend(_options(given))
        self._accept_recipient(address, parameters)
        return _OK

    def _parse_recipient(self, arg: str | None) -> tuple[str, list[str], dict[str, Any]]:
        """Parse the argument of RCPT: a mailbox, its parameters as 1.4 gives them, and by keyword."""
        address, given = self._parse_path("RCPT", arg)
        parameters = self._understand("RCPT", address, given)
        if self.recipient_domain_limit is not None:
            self._count_domain(address, self.recipient_domain_limit)
        return address, _options(given) if given else [], parameters

    def _accept_recipient(self, address: str | None, parameters: dict[str, Any]) -> None:
        """Add a recipient, if no hook did, and note the parameters for those that were added.

        Args:
            address: the mailbox; None if a hook has accepted what it liked, perhaps several.
            parameters: those of the RCPT, by keyword.
        """
        envelope = self.envelope
        accepted, noted = envelope.rcpt_tos, envelope.rcpt_parameters
        if address is not None:
            accepted.append(address)
        noted.append(parameters)
        if len(noted) != len(accepted):  # a hook has accepted none, or several
            noted.pop()
            noted.extend([parameters] * (len(accepted) - len(noted)))

    @syntax("RCPT TO: <address>", extended=" [SP <mail-parameters>]")
    @at_once(_add_at_once)
    async def smtp_RCPT(self, arg: str | None) -> None:
        """Name a recipient (RFC 5321 section 4.1.1.3)."""
        if not self._may_come("RCPT") and await self._is_refused("RCPT"):
            return
        envelope = self.envelope
        if len(envelope.rcpt_tos) >= self.recipient_limit:  # RFC 5321 section 4.5.3.1.10
            await self.push(replies.TOO_MANY_RECIPIENTS)
            return
        address, options, parameters = self._parse_recipient(arg)
        status = await self._call_handler_hook("RCPT", address, options)
        if status is MISSING:
            if options:
                envelope.rcpt_options.extend(options)
            self._accept_recipient(address, parameters)
            status = replies.OK
        else:
            self._accept_recipient(None, parameters)
            if self.enable_SMTPUTF8 and not envelope.smtp_utf8:
                status = without_utf8(status, "RCPT")
            status = self._default_for(status, replies.OK, "RCPT")
        if self._verbose:
            log.info("%r recip: %s", self.session.peer, address)
        await self.push(status)

    def _count_domain(self, address: str, limit: int) -> None:
        """Note the domain of a recipient; RFC 9422 section 4.3 counts those of a session.

        Raises:
            ProtocolError: it is one more than the limit.
        """
        if self._recipient_domains is None:
            self._recipient_domains = set()
        domains = self._recipient_domains
        domain = split_mailbox(address)[1].lower()
        if len(domains) >= limit and domain not in domains:
            raise ProtocolError(reply=replies.TOO_MANY_DOMAINS)
        domains.add(domain)

    def _reset_at_once(self, path: bytes | None, rest: bytes | None) -> bytes | None:
        if (
            path is not None
            or rest is not None
            or self._streamed is not None
            or hasattr(self.event_handler, "handle_RSET")
            or hasattr(self, "rset_hook")
            or not self._replies_plainly()
        ):
            return None
        self._set_rset_state()
        return _OK

    @syntax("RSET")
    @at_once(_reset_at_once)
    async def smtp_RSET(self, arg: str | None) -> None:
        """End the transaction (RFC 5321 section 4.1.1.5)."""
        if arg:
            await self.push("501 Syntax: RSET")
            return
        self._set_rset_state()
        if self._streamed is not None:
            await self._end_stream()
        if hasattr(self, "rset_hook"):
            warn_deprecated("handler.handle_RSET()", ".rset_hook()")
            await self.rset_hook()
        status = await self._call_handler_hook("RSET")
        await self.push(self._default_for(status, replies.OK, "RSET"))

    def _await_body_at_once(self, path: bytes | None, rest: bytes | None) -> bytes | None:
        if (
            path is not None
            or rest is not None
            or hasattr(self.event_handler, "handle_BODY")
            or not self._is_in_order("DATA")
        ):
            return None
        self._await_body(stream=False)
        self._unanswered = list(self.envelope.rcpt_tos)
        return _START_DATA

    def _await_body(self, *, stream: bool) -> None:
        """Let the message be what comes next.

        Raises:
            ProtocolError: an extension does not want it.
        """
        if self._table.checks:
            self._check("DATA", None, {})
        self._connection.expect_body(
            size_limit=self.data_size_limit or None,
            line_limit=self.line_length_limit,
            stream=stream,
        )

    @syntax("DATA")
    @at_once(_await_body_at_once)
    async def smtp_DATA(self, arg: str | None) -> None:
        """Receive the message (RFC 5321 section 4.1.1.4)."""
        if not self._may_come("DATA") and await self._is_refused("DATA"):
            return
        if arg:
            await self.push("501 Syntax: DATA")
            return
        hook = self._find_hook("handle_BODY")
        self._await_body(stream=hook is not None)
        await self.push(replies.START_DATA)
        recipients = self._unanswered = list(self.envelope.rcpt_tos)
        if hook is None:
            await self._take_message(await self._receive_whole())
            return
        parameters = self.envelope.mail_parameters
        status = await self._receive_stream(hook, BodyStream(self))
        await self._answer_message(status, recipients, parameters)
        self._unanswered = None

    async def _receive_whole(self) -> Body | BodyError:
        """Read the body, and give it, or the fault in it."""
        try:
            while (event := self._connection.next_event()) is None:
                await self._receive()
        except BodyIncomplete:
            raise
        except BodyError as fault:
            return fault
        assert isinstance(event, Body)
        return event

    async def _take_message(self, body: Body | BodyError) -> None:
        """Hand on the message that was asked for, or answer the fault in it."""
        recipients, parameters = self._unanswered, self.envelope.mail_parameters
        assert recipients is not None
        if isinstance(body, BodyError):
            status: Any = body.reply
        else:
            self.envelope.content = self.envelope.original_content = body.content
            del body  # nobody holds on to it but the envelope, and that is gone before the reply
            status = self._decode_content() if self._decode_data else None
            if status is None:
                status = await self._call_handler_hook("DATA")
                if status is MISSING:
                    status = await self._call_process_message()
                status = self._default_for(status, replies.OK, "DATA")
        await self._answer_message(status, recipients, parameters)
        self._unanswered = None

    def _answer_message(
        self, status: Any, recipients: list[str], parameters: Mapping[str, Any]
    ) -> Awaitable[None]:
        """End the transaction, and answer its message; once that is done, nobody is unanswered.

        Args:
            status: what the hook returned, or one reply for all.
            recipients: whom the message is for.
            parameters: those of its MAIL.
        """
        self._set_post_data_state()
        return self._push_data_status(status, recipients, parameters)

    def _decode_content(self) -> replies.Reply | None:
        """Have ``envelope.content`` as text; give the reply to what is none."""
        envelope = self.envelope
        assert envelope.original_content is not None
        try:
            envelope.content = (
                envelope.original_content.decode("utf-8", "surrogateescape")
                if self.enable_SMTPUTF8
                else envelope.original_content.decode("ascii")
            )
        except UnicodeDecodeError:
            return replies.STRICT_ASCII
        return None

    async def _receive_stream(
        self, hook: Callable[..., Awaitable[Any]], body: BodyStream | ChunkStream
    ) -> Any:
        """Let ``handle_BODY`` read the body as it comes; give the reply to it."""
        status: Any = None
        failure: Exception | None = None
        try:
            status = await hook(self, self.session, self.envelope, body)
        except asyncio.CancelledError:
            # Unless it ends the connection, the next command is behind the end of the body.
            task = asyncio.current_task()
            if self._overdue or (task is not None and not task.cancelling()):
                await body.finish()
            raise
        except Exception as error:
            failure = error
        try:
            await body.finish()
        finally:
            if (
                body.fault is not None
                and failure is not None
                and not _is_about(body.fault, failure)
            ):
                log.error("%r handle_BODY failed", self.session.peer, exc_info=failure)
        if body.fault is not None:
            return body.fault.reply
        if failure is not None:
            raise failure
        return self._default_for(status, replies.OK, "BODY")

    def _push_data_status(
        self, status: Any, recipients: list[str], parameters: Mapping[str, Any] = _NO_PARAMETERS
    ) -> Awaitable[None]:
        """Answer the message: once, unless PRDR asks for more; LMTP does it otherwise.

        Args:
            status: what the hook returned, or one reply for all.
            recipients: whom the message is for.
            parameters: those of its MAIL, where the hook was asked.
        """
        if "PRDR" in parameters and not isinstance(status, (str, bytes)):
            return self._push_by_recipient(status, recipients)
        return self.push(status)

    async def _push_by_recipient(self, status: Any, recipients: list[str]) -> None:
        """Answer the message for each recipient (draft-hall-prdr-00 section 4.5)."""
        found = replies_by_recipient(status, recipients)
        for reply in (replies.ANALYSIS_BEGINS, *found, reply_for_all(found)):
            await self.push(reply)

    async def _call_process_message(self) -> Any:
        """Call the hook of smtpd and of aiosmtpd before 1.0, where None stands for success."""
        hook = self._find_hook("process_message")
        if hook is None:
            return MISSING
        warn_deprecated("handler.handle_DATA()", ".process_message()")
        envelope = self.envelope
        status = hook(self.session.peer, envelope.mail_from, envelope.rcpt_tos, envelope.content)
        if inspect.isawaitable(status):
            status = await status
        return MISSING if status is None else status
