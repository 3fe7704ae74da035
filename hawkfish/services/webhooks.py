"""Posts events to a receiver, signed, and tells what it answered.

Nothing that a receiver does costs more than one connection and a deadline: its body is not read, its redirections are not followed,
and only 2xx counts. The signature is that of Standard Webhooks, for which there are libraries in most languages.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import httpx

from hawkfish.domain.accounts import Actor
from hawkfish.domain.subscriptions import Subscription
from hawkfish.errors import ConfigurationError
from hawkfish.services.destinations import DestinationPolicy
from hawkfish.services.outgoing import (
    AddressRefused,
    Connection,
    ServerUnknown,
    addresses_of,
    build_request,
    port_of,
    reason_of,
    tls_context,
)
from hawkfish.services.secret_box import SecretBox

SECRET_PREFIX = "whsec_"  # noqa: S105  what every secret of Standard Webhooks begins with
SECRET_BYTES = 32
CONNECT_SECONDS = 5.0
ERROR_LENGTH = 500


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a post.

    Attributes:
        status: The HTTP status of the answer; None where there was none.
        error: Why it does not count as delivered; None if it does.
        milliseconds: How long it took.
    """

    status: int | None = None
    error: str | None = None
    milliseconds: int = 0


class Webhooks:
    """Posts to receivers.

    Args:
        policy: Where events may be sent to.
        box: Opens headers and secrets.
        seconds: Time that a receiver has in all.
        trusted_ca_file: Authorities of receivers beside those that this machine trusts.
    """

    def __init__(
        self, policy: DestinationPolicy, box: SecretBox, seconds: float, trusted_ca_file: Path | None = None
    ) -> None:
        self._policy = policy
        self._box = box
        self._seconds = seconds
        self._trusted_ca_file = trusted_ca_file

    def post(self, subscription: Subscription, owner: Actor, content: bytes, identity: str) -> Outcome:
        """Posts a content once.

        Args:
            subscription: Where to, with which headers and whose signature.
            owner: For whom; decides which addresses may be connected to.
            content: The body.
            identity: Names this content, the same each time that it is sent.
        """
        began = time.monotonic()
        status, error = self._post(subscription, owner, content, identity, began + self._seconds)
        return Outcome(
            status=status,
            error=None if error is None else error[:ERROR_LENGTH],
            milliseconds=round(1000 * (time.monotonic() - began)),
        )

    def _post(
        self, subscription: Subscription, owner: Actor, content: bytes, identity: str, deadline: float
    ) -> tuple[int | None, str | None]:
        assert subscription.destination is not None  # noqa: S101  only such are posted to
        url = httpx.URL(subscription.destination)

        def check() -> None:
            if time.monotonic() > deadline:
                raise TimeoutError

        try:
            addresses = addresses_of(
                url.raw_host.decode("ascii"), port_of(url), lambda found: self._policy.refusal(owner, found)
            )
            headers = {**self._headers(subscription), **self._signature(subscription, content, identity)}
            context = tls_context(subscription.verify_certificate, self._trusted_ca_file)
            timeout = httpx.Timeout(self._seconds, connect=min(CONNECT_SECONDS, self._seconds))
            with (
                Connection(check) as connection,
                httpx.Client(verify=context, timeout=timeout, trust_env=False) as client,
            ):

                def send(address: str) -> httpx.Response:
                    if connection.unwanted:
                        raise httpx.ConnectTimeout("no time is left")
                    request = build_request(
                        client, "POST", url, address, headers=headers, connection=connection, content=content
                    )
                    return client.send(request, stream=True)

                try:
                    response = _first_answer(send, addresses)
                except httpx.TransportError as error:
                    late = connection.unwanted or isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout))
                    return None, f"the receiver took more than {self._seconds:g} s" if late else reason_of(error)
                response.close()
        except AddressRefused as error:
            return None, f"its server has the address {error.address}, {error.reason}"
        except (ServerUnknown, httpx.InvalidURL, ConfigurationError) as error:
            return None, str(error)
        return response.status_code, _complaint(response)

    def _headers(self, subscription: Subscription) -> dict[str, str]:
        own = {
            "Content-Type": "application/json",
            "OData-Version": "4.0",
            "User-Agent": f"HawkFish/{version('hawkfish')}",
            "Accept-Encoding": "identity",
        }
        if subscription.sealed_headers is None:
            return own
        given: dict[str, str] = json.loads(self._box.open(subscription.sealed_headers))
        taken = {name.lower() for name in given}
        return {**{name: value for name, value in own.items() if name.lower() not in taken}, **given}

    def _signature(self, subscription: Subscription, content: bytes, identity: str) -> dict[str, str]:
        if subscription.sealed_secret is None:
            return {}
        now = int(time.time())
        signed = sign(self._box.open(subscription.sealed_secret), identity, now, content)
        return {"webhook-id": identity, "webhook-timestamp": str(now), "webhook-signature": signed}


def _first_answer(send: Callable[[str], httpx.Response], addresses: Sequence[str]) -> httpx.Response:
    """The answer of the first address that takes a connection: receivers often listen at one of those that their name has."""
    *others, last = addresses
    for address in others:
        with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return send(address)
    return send(last)


def _complaint(response: httpx.Response) -> str | None:
    """Why an answer does not count; None if it does."""
    if response.is_redirect:
        return "the receiver redirects, which is not followed; subscribe with the address that it redirects to"
    if not response.is_success:
        return f"the receiver answers {response.status_code} {response.reason_phrase}".rstrip()
    return None


def new_secret() -> str:
    """A secret to sign with."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode("ascii")


def sign(secret: str, identity: str, moment: int, content: bytes) -> str:
    """The signature of a content at a moment (Standard Webhooks 1.0, Signature scheme).

    Args:
        secret: As `new_secret` makes it.
        identity: What the content is named by.
        moment: Seconds since 1970.
        content: The exact bytes of the body.
    """
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    message = f"{identity}.{moment}.".encode() + content
    return "v1," + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode("ascii")
