"""A response of pysaml2, taken apart far enough that a test can change any part of it before it is signed."""

import copy
import re
import subprocess
import tempfile
from datetime import datetime, timedelta, timezone

from saml2 import class_name, saml, samlp
from saml2.saml import NAMEID_FORMAT_UNSPECIFIED, NameID
from saml2.sigver import pre_encryption_part, pre_signature_part
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

GOOD = "ana@acme.example"
EVIL = "mallory@victim.test"
PASSWORD = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
RSA_OAEP = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"


def at(seconds):
    """Now and that many seconds, as SAML writes it."""
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Peer:
    """What a message is made with."""

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder

    def answering(self, request_id, acs, service_provider):
        """A copy for one request."""
        peer = copy.copy(self)
        peer.request_id, peer.acs, peer.service_provider = request_id, acs, service_provider
        return peer

    def response(self, identity=None, name_id=None):
        """The usual Response, unsigned, as an object."""
        name_id = name_id or NameID(format=NAMEID_FORMAT_UNSPECIFIED, text=GOOD)
        response = self.server.create_authn_response(
            identity if identity is not None else {"mail": [GOOD], "displayName": ["Ana Almeida"]},
            self.request_id,
            self.acs,
            self.service_provider,
            name_id=name_id,
            authn={"class_ref": PASSWORD},
            sign_response=False,
            sign_assertion=False,
        )
        return response

    def sign(
        self,
        message,
        assertion=True,
        response=True,
        key="idp",
        algorithm=SIG_RSA_SHA256,
        digest=DIGEST_SHA256,
        change=None,
        certificate=None,
    ):
        """Signs what is asked for, the inner one first; `change` may alter each signature before its value is made."""
        parts = []
        if assertion:
            parts.append(message.assertion)
        if response:
            parts.append(message)
        for part in parts:
            signature = pre_signature_part(part.id, certificate, digest_alg=digest, sign_alg=algorithm)
            if change:
                change(signature)
            part.signature = signature
        text = str(message)
        for part in parts:
            text = self.sign_text(text, class_name(part), part.id, key)
        return text

    def sign_text(self, text, name, identifier, key="idp"):
        """Fills in the signature that waits in the element of that class and ID."""
        return self.server.sec.crypto.sign_statement(text, name, f"{self.folder}/{key}.key", identifier)

    def encrypt(self, text, cipher, session_key, key_transport=RSA_OAEP, certificate=None, self_contained=True):
        """Encrypts the Assertion of a message to the service provider. Self-contained, it declares its prefixes itself;
        else it leans on those around it."""
        start, end = assertion_span(text)
        assertion = text[start:end]
        if self_contained:
            assertion = with_declarations(assertion, text)
        prefix = prefix_of(text, saml.NAMESPACE)
        around = f"{text[:start]}<{prefix}:EncryptedAssertion>{assertion}</{prefix}:EncryptedAssertion>{text[end:]}"
        if certificate is None:
            certificate = self.certificate_of_service_provider()
        template = pre_encryption_part(msg_enc=cipher, key_enc=key_transport)
        return self.server.sec.crypto.encrypt_assertion(around, certificate, template, session_key)

    def certificate_of_service_provider(self):
        """A file with the certificate that the metadata says to encrypt for."""
        certificates = self.server.metadata.certs(self.service_provider, "spsso", "encryption")
        body = re.sub(r"\s", "", certificates[0][1])
        lines = "\n".join(body[i : i + 64] for i in range(0, len(body), 64))
        path = f"{self.folder}/service-provider.crt"
        with open(path, "w") as file:
            file.write(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
        return path

    def xmlsec1(self, text, *arguments):
        """Runs xmlsec1 for what pysaml2 does not do."""
        with tempfile.NamedTemporaryFile("w", suffix=".xml", dir=self.folder) as file:
            file.write(text)
            file.flush()
            ids = ["--id-attr:ID", f"{saml.NAMESPACE}:Assertion", "--id-attr:ID", f"{samlp.NAMESPACE}:Response"]
            done = subprocess.run(["xmlsec1", *arguments, *ids, file.name], capture_output=True, check=True, text=True)
            return done.stdout


def prefix_of(text, namespace):
    """The prefix that a namespace has in the message."""
    return re.search(rf'xmlns:(\w+)="{re.escape(namespace)}"', text).group(1)


def assertion_span(text):
    """Where the first Assertion begins and ends."""
    prefix = prefix_of(text, saml.NAMESPACE)
    end = f"</{prefix}:Assertion>"
    return re.search(rf"<{prefix}:Assertion[\s>]", text).start(), text.index(end) + len(end)


def with_declarations(element, text):
    """An element that declares all prefixes of the message it was cut out of."""
    declared = re.findall(r'xmlns:\w+="[^"]*"', text[: text.index(">", text.index("Response"))])
    head, rest = re.match(r"(<[\w:]+)(.*)", element, re.S).groups()
    missing = [one for one in declared if one not in rest[: rest.index(">")]]
    return " ".join([head, *missing]) + rest


def signature_span(element):
    """Where the first Signature of an element begins and ends."""
    prefix = re.search(r"<(\w+):Signature[\s>]", element).group(1)
    end = f"</{prefix}:Signature>"
    return element.index(f"<{prefix}:Signature"), element.index(end) + len(end)
