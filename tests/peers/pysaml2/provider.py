"""A SAML identity provider (pysaml2) that says whatever a test wants, and reads what the gateway sends.

Speaks in lines of JSON: settings as the first argument, one command a line on standard input, one answer a line on standard
output, which is {"value": ...} or {"error": ...}. Stops when standard input closes.

Settings: {"folder": ..., "entity_id": ..., "sso": ...}. The folder is the test's own; it holds the keys in PEM:
idp.key/.crt (RSA), p256.key/.crt and p384.key/.crt (also in the provider's metadata), other.key/.crt (not in it).
"""

import base64
import json
import sys
import traceback
from importlib.metadata import version

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
from saml2.config import IdPConfig
from saml2.mdstore import MetaDataFile
from saml2.attribute_converter import ac_factory
from saml2.metadata import entity_descriptor
from saml2.server import Server
from saml2.sigver import security_context

import hostile
import honest
from message import Peer

BINDINGS = {"redirect": BINDING_HTTP_REDIRECT, "post": BINDING_HTTP_POST}


class Provider:
    """The provider and what it can be told to do: each public method is a command."""

    def __init__(self, settings):
        self.folder = settings["folder"]
        self.configuration = {
            "entityid": settings["entity_id"],
            "key_file": f"{self.folder}/idp.key",
            "cert_file": f"{self.folder}/idp.crt",
            "additional_cert_files": [f"{self.folder}/p256.crt", f"{self.folder}/p384.crt"],
            "xmlsec_binary": "/usr/bin/xmlsec1",
            "service": {
                "idp": {
                    "endpoints": {
                        "single_sign_on_service": [(settings["sso"], binding) for binding in BINDINGS.values()],
                    },
                    "want_authn_requests_signed": True,
                }
            },
        }
        self.server = None
        self.peer = None

    def metadata(self):
        """Its metadata, as pysaml2 writes it."""
        return str(entity_descriptor(IdPConfig().load(dict(self.configuration))))

    def know(self, metadata):
        """Takes the service provider's metadata: a file."""
        self.server = Server(config=IdPConfig().load(dict(self.configuration, metadata={"local": [metadata]})))
        self.peer = Peer(self.server, self.folder)
        return sorted(self.server.metadata.service_providers())

    def read_request(self, binding, message, relay_state=None, sig_alg=None, signature=None):
        """Verifies an AuthnRequest, and tells what it asks for."""
        request = self.server.parse_authn_request(
            message, BINDINGS[binding], relay_state=relay_state, sigalg=sig_alg, signature=signature
        ).message
        policy = request.name_id_policy
        return {
            "id": request.id,
            "issuer": request.issuer.text,
            "acs": request.assertion_consumer_service_url,
            "destination": request.destination,
            "format": policy.format if policy is not None else None,
            "force_authn": request.force_authn,
        }

    def cases(self):
        """The names of all answers that it can give, and whether the gateway has to believe them."""
        told = [{"name": name, "honest": True} for name in honest.CASES]
        return told + [{"name": name, "honest": False} for name in hostile.CASES]

    def answer(self, case, request_id, acs, service_provider):
        """A response to a request, in base64."""
        make = honest.CASES.get(case) or hostile.CASES[case]
        text = make(self.peer.answering(request_id, acs, service_provider))
        return base64.b64encode(text.encode()).decode()

    def verify_metadata(self, metadata, certificate):
        """Verifies the signature of metadata by that certificate, and gives the entities in it."""
        context = security_context(IdPConfig().load(dict(self.configuration)))
        store = MetaDataFile(ac_factory(), metadata, cert=certificate, security=context)
        store.load()
        return sorted(store.keys())


provider = Provider(json.loads(sys.argv[1]))
print(json.dumps({"value": version("pysaml2")}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    try:
        answer = {"value": getattr(provider, command.pop("do"))(**command)}
    except Exception as error:  # told to the test, which then fails
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
