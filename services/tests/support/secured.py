"""Kafka, PostgreSQL and Redis that speak TLS and want to know who comes, each started for one test."""

import contextlib
import datetime
import importlib
import ipaddress
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

INFRA = Path(__file__).resolve().parents[3] / "infra" / "local"
START_SECONDS = 60
LISTENER = "SECURED"
USER, PASSWORD = "outcry", "word that is passed"


class Certificate(NamedTuple):
    """PEM files: who vouches (itself), the certificate and its key."""

    authority: Path
    certificate: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    """One for 127.0.0.1 that vouches for itself, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "outcry test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "tls.crt", folder / "tls.crt", folder / "tls.key")
    made.certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption_algorithm=plain)
    )
    return made


@contextlib.contextmanager
def kafka(folder: Path, tls: Certificate) -> Iterator[str]:
    """Where a broker listens over TLS for users of SASL PLAIN."""
    components = local_components()
    own = folder / "kafka"
    own.mkdir(parents=True)
    port = components.port_of(own) + 2
    (own / "listeners").write_text(f"{LISTENER} {port} {port} SASL_SSL\n")
    stores = own / "tls.pem"
    stores.write_text(tls.key.read_text() + tls.certificate.read_text())
    login = "org.apache.kafka.common.security.plain.PlainLoginModule"
    listener = f"listener.name.{LISTENER.lower()}"
    (own / "more.properties").write_text(
        f"{listener}.sasl.enabled.mechanisms=PLAIN\n"
        f'{listener}.plain.sasl.jaas.config={login} required user_{USER}="{PASSWORD}";\n'
        f"{listener}.ssl.keystore.type=PEM\n{listener}.ssl.keystore.location={stores}\n"
    )
    with _running(components, "kafka", own):
        yield f"127.0.0.1:{port}"


@contextlib.contextmanager
def redis(folder: Path, tls: Certificate) -> Iterator[str]:
    """The URL of a Redis that speaks only TLS, its password in it."""
    components = local_components()
    own = folder / "redis"
    own.mkdir(parents=True)
    port = components.port_of(own)
    plain = components.COMPONENTS["state"]

    def prepare(where: Path, number: int) -> list[str]:
        options = ["--port", "0", "--tls-port", str(number), "--tls-cert-file", str(tls.certificate)]
        options += ["--tls-key-file", str(tls.key), "--tls-auth-clients", "no", "--requirepass", PASSWORD]
        return [*plain.prepare(where, number), *options]

    secured = components.Component(plain.variable, prepare, plain.url)
    with _running(components, "redis", own, secured):
        yield f"rediss://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/0?ssl_ca_certs={tls.authority}"


@contextlib.contextmanager
def postgres(tls: Certificate) -> Iterator[str]:
    """The URL of a PostgreSQL that takes connections over TLS with a password and no others."""
    components = local_components()
    plain = components.COMPONENTS["postgres"]

    def prepare(where: Path, number: int) -> list[str]:
        command: list[str] = plain.prepare(where, number)
        data = where / "data"
        for name, source in (("server.crt", tls.certificate), ("server.key", tls.key)):
            shutil.copy(source, data / name)
            (data / name).chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(data / name, "postgres", "postgres")
        (data / "pg_hba.conf").write_text(
            "hostssl all outcry_tls 127.0.0.1/32 scram-sha-256\nhost all postgres 127.0.0.1/32 trust\n"
        )
        return [*command, "--ssl=on"]

    secured = components.Component(plain.variable, prepare, plain.url, plain.stop_signal, plain.as_user)
    with tempfile.TemporaryDirectory(prefix="outcry-secured-") as name:
        own = Path(name)
        own.chmod(0o755)  # the server's own user must get there; to pytest's folders another pytest shuts the door
        with _running(components, "postgres", own, secured) as url:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(url):  # it listens before it has started
                assert time.monotonic() < deadline, "PostgreSQL does not start"
                time.sleep(0.05)
            yield url


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@contextlib.contextmanager
def _running(components: Any, name: str, folder: Path, component: Any = None) -> Iterator[str]:
    component = component or components.COMPONENTS[name]
    try:
        url = component.start(folder)
    except components.Trouble as trouble:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(trouble))
    try:
        yield url
    finally:
        component.stop(folder)


def local_components() -> Any:
    """infra/local/components.py, which is no part of a package."""
    sys.path.insert(0, str(INFRA))
    try:
        return importlib.import_module("components")
    finally:
        sys.path.remove(str(INFRA))
