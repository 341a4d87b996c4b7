"""Settings of signed messages."""

from __future__ import annotations

from celeriac.settings.table import setting


class SecuritySettings:
    """Keys and certificates of signed messages."""

    security_key: str | None = setting(None, "File of the private key.", secret=True)
    security_key_password: str | bytes | None = setting(None, "Password of the private key.", secret=True)
    security_certificate: str | None = setting(None, "File of the certificate.")
    security_cert_store: str | None = setting(None, "Pattern of the files of trusted certificates.")
    security_digest: str = setting("sha256", "Digest that is signed.")
