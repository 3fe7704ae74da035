from __future__ import annotations

from hawkfish.plugins.identity import ExternalIdentity, IdentityProvider


class AcmeLogin(IdentityProvider):
    """Knows tokens that begin with `acme-`."""

    def verify(self, token: str) -> ExternalIdentity | None:
        if not token.startswith("acme-"):
            return None
        user = token.removeprefix("acme-")
        return ExternalIdentity(issuer="https://login.acme.example", subject=user, user_name=user)
