"""TLS before a server that has none: authorities, certificates, and what takes the TLS off."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import select
import socket
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM
_SSL_REQUEST = 8  # bytes of the packet by which a PostgreSQL client asks for TLS


class Authority:
    """Issues certificates.

    Attributes:
        path: its own certificate, for those who are to trust it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        extensions = [x509.BasicConstraints(ca=True, path_length=0)]
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._signed(name, self._key.public_key(), extensions).public_bytes(_PEM))

    def issue(self, name: str, *hosts: str, word: bytes | None = None) -> tuple[Path, Path]:
        """The files of a certificate for these hosts, and of its key, encrypted if there is a password."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts or (name,)])
        certificate, secret = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(self._signed(name, key.public_key(), [alternatives]).public_bytes(_PEM))
        encryption = serialization.BestAvailableEncryption(word) if word else serialization.NoEncryption()
        secret.write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, encryption))
        secret.chmod(0o600)
        return certificate, secret

    def _signed(self, name: str, key: ec.EllipticCurvePublicKey, extensions: list[x509.ExtensionType]):
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self._key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class TlsProxy:
    """Takes the TLS off the connections of clients, and passes what is in them on to a server of loopback.

    Args:
        port: of the server.
        certificate: the files of its certificate and key.
        clients: an authority that clients must have a certificate of; None if they need none.
        postgres: whether clients ask for TLS first, in PostgreSQL's way.

    Attributes:
        port: where it listens.
        encrypted: how many connections it took the TLS off.
    """

    def __init__(
        self,
        port: int,
        certificate: tuple[Path, Path],
        *,
        clients: Authority | None = None,
        postgres: bool = False,
    ) -> None:
        self._server, self._postgres = port, postgres
        self._clients = clients
        self.present(certificate)
        self.encrypted = 0
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._closing, self._closed = socket.socketpair()
        self._start(self._accept)

    def present(self, certificate: tuple[Path, Path]) -> None:
        """Show new connections this certificate; those that are open stay so."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if self._clients is not None:
            context.load_verify_locations(self._clients.path)
            context.verify_mode = ssl.CERT_REQUIRED
        self._context = context

    def _start(self, work, *given) -> None:
        self._threads.append(threading.Thread(target=work, args=given, name="tls-proxy", daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while self._listener in select.select([self._listener, self._closed], [], [])[0]:
            self._start(self._serve, self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            opened.callback(client.close)
            client.settimeout(10)
            if self._postgres:
                client.recv(_SSL_REQUEST)
                client.sendall(b"S")
            inside = opened.enter_context(self._context.wrap_socket(client, server_side=True))
            self.encrypted += 1
            server = opened.enter_context(socket.create_connection(("127.0.0.1", self._server), 10))
            while True:
                waiting = [inside, server, self._closed]
                ready = [inside] if inside.pending() else select.select(waiting, [], [])[0]
                for one, other in ((inside, server), (server, inside)):
                    chunk = one.recv(1 << 16) if one in ready else None
                    if chunk:
                        other.sendall(chunk)
                    if chunk == b"" or self._closed in ready:
                        return

    def __enter__(self) -> TlsProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()
        for thread in self._threads:
            thread.join(20)
        self._closed.close()
        self._listener.close()
        assert not any(thread.is_alive() for thread in self._threads), "the proxy hangs"
