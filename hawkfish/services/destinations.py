"""Where events may be sent to."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import httpx

from hawkfish.domain.accounts import Actor, Privilege
from hawkfish.errors import PropertyConflict, PropertyInvalidFormat, PropertyOutOfRange
from hawkfish.services.outgoing import is_forbidden, is_internal, names_a_server, plain_address, wrong_port

LONGEST_DESTINATION = 2048
PROPERTY = "Destination"


class DestinationPolicy:
    """Tells which addresses an account may have events sent to.

    Args:
        allowed_networks: Internal networks that are open to everybody.
    """

    def __init__(self, allowed_networks: Sequence[str]) -> None:
        self._allowed = [ipaddress.ip_network(item) for item in allowed_networks]

    def refusal(self, actor: Actor, address: str) -> str | None:
        """Why nothing is sent to an address for an account; None if it may be."""
        if is_forbidden(address):
            return "to which nothing is sent (link-local or metadata)"
        ip = plain_address(address)
        if (
            not is_internal(address)
            or Privilege.CONFIGURE_MANAGER in actor.privileges
            or any(ip in network for network in self._allowed)
        ):
            return None
        return (
            "which is of this machine or a private network: such are open to administrators, "
            "and to others only where HF_EVENTS_ALLOWED_NETWORKS names the network"
        )

    def check(self, actor: Actor, destination: str) -> None:
        """Judges a destination by what it says; where a name leads to is judged when something is sent there.

        Raises:
            PropertyError: It is none, or an address that nothing is sent to for this account.
        """
        url = _parse(destination)
        host = url.host.strip("[]")
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return
        reason = self.refusal(actor, host)
        if reason is not None:
            raise PropertyConflict(
                f"{PROPERTY} has the address {host}, {reason}.", property=PROPERTY, value=shown_destination(destination)
            )


def shown_destination(destination: str) -> str:
    """A destination as it may be logged: what is behind `?` may be a secret."""
    return destination.partition("?")[0][:200]


def _parse(destination: str) -> httpx.URL:
    def refuse(rule: str) -> PropertyInvalidFormat:
        return PropertyInvalidFormat(f"{PROPERTY} {rule}.", property=PROPERTY, value="(not shown)")

    if len(destination) > LONGEST_DESTINATION:
        raise PropertyOutOfRange(
            f"{PROPERTY} has {len(destination)} characters; it takes {LONGEST_DESTINATION}.",
            property=PROPERTY,
            value=len(destination),
        )
    try:
        url = httpx.URL(destination)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise refuse("is no URL") from error
    if not destination.isprintable() or " " in destination:
        raise refuse("must have printable characters without blanks")
    if url.scheme not in {"http", "https"} or not names_a_server(url):
        raise refuse("must begin with http:// or https:// and name a server")
    if url.userinfo:
        raise refuse("holds a user name or a password, which would be shown; put them into HttpHeaders")
    if wrong := wrong_port(url):
        raise refuse(wrong)
    if url.fragment:
        raise refuse("has a fragment (#), which no server gets to see")
    return url
