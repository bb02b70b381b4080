"""The TLS settings of a connection: whom to trust, and the client certificate to show."""

from __future__ import annotations

import ssl
import tempfile

from fairlead.client.kubeconfig import ConfigError, Connection


def context_of(connection: Connection) -> ssl.SSLContext:
    """The TLS settings of a connection. Raises ConfigError for certificates that cannot be read."""
    try:
        context = ssl.create_default_context(cadata=connection.ca or None)
        if connection.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if connection.certificate:
            _load_identity(context, connection)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"the certificates for {connection.server} cannot be used: {error}") from error
    return context


def _load_identity(context: ssl.SSLContext, connection: Connection) -> None:
    # OpenSSL takes a certificate and its key from a file only; this one is ours alone and gone at once.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as pem:
        pem.write(f"{connection.certificate}\n{connection.key}\n")
        pem.flush()
        context.load_cert_chain(pem.name)
