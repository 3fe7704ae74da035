"""Talking Redfish: sessions, retries, and refusals as one sentence."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import httpx
import tenacity

from hawkfish.cli.contexts import ContextStore, save_token
from hawkfish.cli.errors import CommandError, ExitCode, code_of_status, one_line
from hawkfish.cli.messages import refusal
from hawkfish.cli.target import Credentials, Target

SESSIONS = "/redfish/v1/SessionService/Sessions"
TIMEOUT = httpx.Timeout(60.0, connect=5.0)  # the service answers within its sync wait; the rest is for a slow network
UPLOAD_TIMEOUT = httpx.Timeout(600.0, connect=5.0)  # after the last byte the service looks at all of it
STREAM_QUIET = 35.0  # the service says every 10 s that it is still there
ATTEMPTS = 4
UNAUTHORIZED = 401

LOST = (httpx.ConnectError, httpx.ReadTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""A connection that was lost, so that nobody knows whether the request arrived."""


@dataclass(frozen=True)
class Reply:
    """An answer that says yes."""

    status: int
    body: dict[str, Any]
    headers: httpx.Headers
    content: bytes

    @property
    def location(self) -> str:
        """Path of what was made, or of the task monitor; empty if there is none."""
        return httpx.URL(self.headers.get("Location", "")).raw_path.decode() if "Location" in self.headers else ""

    @property
    def accepted(self) -> bool:
        """Whether the work goes on."""
        return self.status == httpx.codes.ACCEPTED


class Client:
    """One service.

    Args:
        target: The service and what to show to it.
        transport: None for the network.
        store: Where a new session of a saved context is kept.
        wait: Seconds to wait before the n-th repetition.
    """

    def __init__(
        self,
        target: Target,
        *,
        transport: httpx.BaseTransport | None = None,
        store: ContextStore | None = None,
        wait: tenacity.wait.wait_base | None = None,
    ) -> None:
        self.target = target
        self._store = store or ContextStore()
        self._wait = wait or tenacity.wait_exponential(multiplier=0.2, max=2)
        self._http = httpx.Client(
            base_url=target.url,
            timeout=TIMEOUT,
            # With a transport of its own httpx opens no connection, and so needs no certificates.
            verify=trust(target) if transport is None else True,
            transport=transport,
            follow_redirects=True,
            headers={"Accept": "application/json", "OData-Version": "4.0"},
            event_hooks={"request": [self._stay_at_home]},
        )
        self._token = target.context.token if target.context else ""
        self._own_session = ""
        self._expands: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends a session that was made for this command only."""
        if self._own_session:
            try:
                self._http.delete(self._own_session, headers={"X-Auth-Token": self._token}, timeout=5.0)
            except httpx.HTTPError:
                self._own_session = ""  # it ends by itself, being idle
        self._http.close()

    # --- requests ----------------------------------------------------------------------------------------------------

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """The resource at a path.

        Raises:
            CommandError: The service cannot be reached, or says no.
        """
        return self.request("GET", path, parameters=parameters).body

    def post(self, path: str, body: Mapping[str, Any], *, wait: bool = True) -> Reply:
        """Makes something or runs an action. A repetition bears the same key, so that it is done once.

        Args:
            path: Where.
            body: What.
            wait: False asks for an answer as soon as the work is accepted.
        """
        return self.request("POST", path, body=body, headers={"Idempotency-Key": str(uuid4()), **_preference(wait)})

    def patch(self, path: str, body: Mapping[str, Any], *, etag: str | None = None, wait: bool = True) -> Reply:
        """Changes properties; with `etag` only if nobody has changed the resource since."""
        headers = {"If-Match": etag} if etag else {}
        return self.request("PATCH", path, body=body, headers={**headers, **_preference(wait)})

    def delete(self, path: str, *, wait: bool = True) -> Reply:
        """Deletes a resource."""
        return self.request("DELETE", path, headers=_preference(wait))

    def upload(self, path: str, pieces: Iterator[bytes], length: int) -> Reply:
        """Sends a content in one request, which is not repeated: the pieces are gone when they are sent.

        Args:
            path: Where.
            pieces: The content.
            length: Its bytes.

        Raises:
            CommandError: The service cannot be reached, or says no.
        """
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        if self._token:
            headers["X-Auth-Token"] = self._token
        try:
            answer = self._http.put(path, content=pieces, headers=headers, timeout=UPLOAD_TIMEOUT)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.status_code == UNAUTHORIZED:
            raise CommandError(self._not_logged_in(), ExitCode.NOT_ALLOWED)
        return _reply(answer)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Sends one request; logs in where that is needed and possible.

        Raises:
            CommandError: The service cannot be reached, or says no.
        """
        if not self._token and self.target.credentials:
            self._log_in_again(self.target.credentials)
        answer = self.send(method, path, body=body, parameters=parameters, headers=headers)
        if answer.status_code == UNAUTHORIZED and self.target.credentials:
            self._log_in_again(self.target.credentials)
            answer = self.send(method, path, body=body, parameters=parameters, headers=headers)
        if answer.status_code == UNAUTHORIZED:
            raise CommandError(self._not_logged_in(), ExitCode.NOT_ALLOWED)
        return _reply(answer)

    def stream(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        *,
        after: str | None = None,
        quiet: float = STREAM_QUIET,
    ) -> Iterator[str]:
        """The lines of a stream of events, until the service ends it.

        Args:
            path: Where it is.
            parameters: What is asked for.
            after: The id of the last event that is known.
            quiet: Seconds without a line after which the connection is taken to be lost.

        Raises:
            CommandError: The service cannot be reached (any more), or says no.
        """
        if not self._token and self.target.credentials:
            self._log_in_again(self.target.credentials)
        headers = {"Accept": "text/event-stream", "X-Auth-Token": self._token}
        if after is not None:
            headers["Last-Event-ID"] = after
        timeout = httpx.Timeout(TIMEOUT.read, connect=TIMEOUT.connect, read=quiet)
        request = self._http.build_request("GET", path, params=dict(parameters or {}), headers=headers, timeout=timeout)
        try:
            with self._opened(request) as answer:
                if answer.status_code == UNAUTHORIZED:
                    raise CommandError(self._not_logged_in(), ExitCode.NOT_ALLOWED)
                if not answer.is_success:
                    answer.read()
                    _reply(answer)
                yield from answer.iter_lines()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    @contextlib.contextmanager
    def _opened(self, request: httpx.Request) -> Iterator[httpx.Response]:
        """The answer to a request, read as it comes; with a new session where that is needed and possible."""
        answer = self._http.send(request, stream=True)
        try:
            if answer.status_code == UNAUTHORIZED and self.target.credentials:
                answer.close()
                self._log_in_again(self.target.credentials)
                request.headers["X-Auth-Token"] = self._token
                answer = self._http.send(request, stream=True)
            yield answer
        finally:
            answer.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Sends one request, again while the connection is lost, and gives any answer.

        Raises:
            CommandError: The service cannot be reached.
        """
        sent = dict(headers or {})
        if self._token:
            sent["X-Auth-Token"] = self._token
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_repeat),
            # A write bound to an ETag may have been done, and would then be refused for its own change.
            stop=tenacity.stop_after_attempt(1 if "If-Match" in sent else ATTEMPTS),
            wait=self._wait,
            reraise=True,
        )
        try:
            for attempt in attempts:
                with attempt:
                    return self._once(
                        self._http.build_request(
                            method,
                            path,
                            json=dict(body) if body is not None else None,
                            params=dict(parameters) if parameters else None,
                            headers=sent,
                        ),
                        repeated=attempt.retry_state.attempt_number > 1,
                    )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        raise AssertionError("a request neither was answered nor failed")  # pragma: no cover  tenacity raises

    def _once(self, request: httpx.Request, *, repeated: bool) -> httpx.Response:
        answer = self._http.send(request)
        if repeated and request.method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND:
            # The first request arrived and only its answer was lost: the thing is gone, as was asked.
            return httpx.Response(httpx.codes.NO_CONTENT, request=answer.request)
        return answer

    def _stay_at_home(self, request: httpx.Request) -> None:
        """Keeps the token from being sent to where a redirection leads, should that be another service."""
        home = self._http.base_url
        if (request.url.scheme, request.url.host, request.url.port) != (home.scheme, home.host, home.port):
            raise CommandError(f"{self.target.url} redirects to another service, {request.url.host}; that is refused.")

    # --- collections -------------------------------------------------------------------------------------------------

    def members(self, path: str, condition: str | None = None) -> Iterator[dict[str, Any]]:
        """Every member of a collection, whole, page by page.

        Args:
            path: The collection.
            condition: What they must meet, as `$filter` takes it.
        """
        expand = {"$expand": "."} if self._can_expand() else {}
        narrowed = {"$filter": condition} if condition else {}
        page = self.get(path, **expand, **narrowed)
        while True:
            for member in page.get("Members", []):
                if "Id" in member:
                    yield member
                elif (found := self._if_there(member["@odata.id"])) is not None:
                    yield found
            following = page.get("Members@odata.nextLink")
            if not following:
                return
            page = self.get(str(following))

    def _if_there(self, path: str) -> dict[str, Any] | None:
        """A member; None if it has gone since the collection was read."""
        try:
            return self.get(path)
        except CommandError as error:
            if error.code is ExitCode.NOT_FOUND:
                return None
            raise

    def named(self, collection: str, name: str) -> dict[str, Any]:
        """A member by its name or id; for a name the service redirects."""
        # These would lead out of the collection, or be the collection itself.
        if name in {"", ".", ".."}:
            raise CommandError(f"{name!r} is no name.", ExitCode.NOT_FOUND)
        return self.get(f"{collection}/{quote(name, safe='')}")

    def _can_expand(self) -> bool:
        if self._expands is None:
            features = self.get("/redfish/v1/").get("ProtocolFeaturesSupported", {})
            self._expands = bool(features.get("ExpandQuery", {}).get("NoLinks"))
        return self._expands

    # --- sessions ----------------------------------------------------------------------------------------------------

    def log_in(self, credentials: Credentials) -> Reply:
        """Makes a session; from now on requests bear its token.

        Returns:
            The answer, with the session in its body.

        Raises:
            CommandError: The credentials are refused.
        """
        self._token = ""
        body = {"UserName": credentials.user_name, "Password": credentials.password}
        answer = self.send("POST", SESSIONS, body=body)
        if answer.status_code == UNAUTHORIZED:
            raise CommandError(
                f"{self.target.url} refuses the user name or the password of {credentials.user_name!r}.",
                ExitCode.NOT_ALLOWED,
            )
        reply = _reply(answer)
        self._token = reply.headers.get("X-Auth-Token", "")
        return reply

    @property
    def token(self) -> str:
        """What the session is known by; empty without one."""
        return self._token

    def _log_in_again(self, credentials: Credentials) -> None:
        reply = self.log_in(credentials)
        context = self.target.context
        if context is not None and context.user_name == credentials.user_name:
            save_token(self._store, context.name, token=self._token, session=reply.location)
        else:
            self._own_session = reply.location

    def _not_logged_in(self) -> str:
        if self._token:
            return f"The session at {self.target.url} has ended; run `hawkfish login` to begin another."
        return (
            f"Not logged in at {self.target.url} ({self.target.found_by}); run `hawkfish login`, or set HF_USERNAME and "
            "HF_PASSWORD."
        )

    def _unreachable(self, error: httpx.HTTPError) -> CommandError:
        place = f"{self.target.url} ({self.target.found_by})"
        text = one_line(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return CommandError(
                f"The certificate of {place} is not trusted: {text.rpartition('] ')[2]}. Name the CA with --ca-file or "
                "HF_CA_FILE.",
                ExitCode.UNREACHABLE,
            )
        return CommandError(
            f"Cannot reach {place}: {text}. Is the service running? `hawkfish doctor` looks for the reason.",
            ExitCode.UNREACHABLE,
        )


def trust(target: Target) -> ssl.SSLContext | bool:
    """Whom to trust: the CA that is named, else those of this machine.

    Raises:
        CommandError: The file of the CA cannot be read.
    """
    if target.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=target.ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or "it holds no certificate"
        raise CommandError(f"Cannot trust the CA in {target.ca_file}: {reason}.", ExitCode.USAGE) from error


def _preference(wait: bool) -> dict[str, str]:
    return {} if wait else {"Prefer": "respond-async"}


def _may_repeat(error: BaseException) -> bool:
    # A certificate does not become better by trying again.
    return isinstance(error, LOST) and "CERTIFICATE_VERIFY_FAILED" not in str(error)


def _reply(answer: httpx.Response) -> Reply:
    body = _json(answer)
    if answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED:
        return Reply(answer.status_code, body, answer.headers, answer.content)
    raise CommandError(refusal(answer.status_code, body, str(answer.url)), code_of_status(answer.status_code))


def _json(answer: httpx.Response) -> dict[str, Any]:
    if "json" not in answer.headers.get("Content-Type", ""):
        return {}
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
