"""Certificates for servers that tests start."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


class ServerMissing(Exception):
    """A program that a test starts is not installed; the message says how to get it."""


def make_certificates(folder: Path, *, client: str | None = None) -> None:
    """Write a CA and a certificate that it signed for 127.0.0.1 and localhost; for the user `client` one, too."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise ServerMissing("openssl is not installed; on Debian: apt-get install openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test CA")
    for name, who in (("server", "localhost"), ("client", client)):
        if who is not None:
            run("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={who}")
            signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
            run("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signing)
