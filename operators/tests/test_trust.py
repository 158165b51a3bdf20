"""The operator verifies the API server, and takes the authorities that kubectl takes."""

import ssl

from kubernetes import client

from outcry_operator.kube import trust


def test_certificates_and_names_are_verified_but_an_older_authority_will_do() -> None:
    context = trust(client.Configuration())
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
