"""Answers that are odd, and right: the gateway has to believe each of them."""

from saml2 import class_name, saml, samlp, xmldsig
from saml2.saml import (
    NAME_FORMAT_BASIC,
    NAME_FORMAT_UNSPECIFIED,
    NAME_FORMAT_URI,
    NAMEID_FORMAT_EMAILADDRESS,
    NAMEID_FORMAT_PERSISTENT,
    NameID,
)
from saml2.sigver import pre_signature_part

from message import GOOD, at

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
WITH_COMMENTS = EXC_C14N + "WithComments"
CASES = {}


def case(name):
    """Keeps an answer under that name."""

    def keep(make):
        CASES[name] = make
        return make

    return keep


def pending_signature(message):
    """A signature that waits for its value."""
    return pre_signature_part(message.id, None, digest_alg=xmldsig.DIGEST_SHA256, sign_alg=xmldsig.SIG_RSA_SHA256)


case("both signed")(lambda peer: peer.sign(peer.response()))
case("Assertion signed")(lambda peer: peer.sign(peer.response(), response=False))
case("Response signed")(lambda peer: peer.sign(peer.response(), assertion=False))

for bits in ("256", "384", "512"):
    case(f"RSA-SHA{bits}")(
        lambda peer, bits=bits: peer.sign(
            peer.response(),
            algorithm=getattr(xmldsig, f"SIG_RSA_SHA{bits}"),
            digest=getattr(xmldsig, f"DIGEST_SHA{bits}"),
        )
    )
for curve, bits in (("p256", "256"), ("p384", "384"), ("p256", "512")):
    case(f"ECDSA-SHA{bits} on {curve}")(
        lambda peer, curve=curve, bits=bits: peer.sign(
            peer.response(),
            key=curve,
            algorithm=getattr(xmldsig, f"SIG_ECDSA_SHA{bits}"),
            digest=getattr(xmldsig, f"DIGEST_SHA{bits}"),
        )
    )


@case("signed with a certificate in it that nobody knows")
def _(peer):
    with open(f"{peer.folder}/other.crt") as file:
        body = "".join(line.strip() for line in file if not line.startswith("-"))
    return peer.sign(peer.response(), certificate=body)


def _transforms(name, last, canonicalisation=EXC_C14N):
    def change(signature):
        info = signature.signed_info
        info.canonicalization_method.algorithm = canonicalisation
        transforms = info.reference[0].transforms if isinstance(info.reference, list) else info.reference.transforms
        if last is None:
            del transforms.transform[1]
        else:
            transforms.transform[1].algorithm = last

    case(name)(lambda peer: peer.sign(peer.response(), change=change))


_transforms("inclusive canonicalisation", C14N)
_transforms("inclusive canonicalisation of the SignedInfo too", C14N, C14N)
_transforms("no canonicalisation named", None)
_transforms("canonicalisation with comments, and none there", WITH_COMMENTS, WITH_COMMENTS)


for form, name_format in (
    ("basic", NAME_FORMAT_BASIC),
    ("uri", NAME_FORMAT_URI),
    ("unspecified", NAME_FORMAT_UNSPECIFIED),
    ("no", None),
):

    def _(peer, name_format=name_format):
        message = peer.response()
        for statement in message.assertion.attribute_statement:
            for attribute in statement.attribute:
                attribute.name_format = name_format
                attribute.friendly_name = None
        return peer.sign(message)

    case(f"attribute names of {form} format")(_)


@case("a friendly name that lies")
def _(peer):
    message = peer.response()
    for attribute in message.assertion.attribute_statement[0].attribute:
        attribute.friendly_name = "isAdministrator"
    return peer.sign(message)


@case("no attributes at all")
def _(peer):
    message = peer.response(name_id=NameID(format=NAMEID_FORMAT_EMAILADDRESS, text=GOOD))
    message.assertion.attribute_statement = []
    return peer.sign(message)


@case("two attribute statements")
def _(peer):
    message = peer.response()
    message.assertion.attribute_statement = message.assertion.attribute_statement * 2
    return peer.sign(message)


case("an attribute with 500 values")(
    lambda peer: peer.sign(
        peer.response({"mail": [GOOD], "eduPersonEntitlement": [f"urn:group:{i}" for i in range(500)]})
    )
)
case("values of all scripts")(
    lambda peer: peer.sign(peer.response({"mail": [GOOD], "displayName": ["Ána Ålmeida 安娜 <&>\"'"]}))
)


def _named(name, **fields):
    case(name)(lambda peer: peer.sign(peer.response(name_id=NameID(text=GOOD, **fields))))


_named("a NameID without a format")
_named("an e-mail address as NameID", format=NAMEID_FORMAT_EMAILADDRESS)
_named(
    "a persistent NameID with qualifiers",
    format=NAMEID_FORMAT_PERSISTENT,
    name_qualifier="https://idp.example",
    sp_name_qualifier="https://sp.example",
)
_named("a NameID with the provider's own name for it", format=NAMEID_FORMAT_PERSISTENT, sp_provided_id="ana-4711")


@case("several audiences")
def _(peer):
    message = peer.response()
    restriction = message.assertion.conditions.audience_restriction[0]
    restriction.audience.insert(0, saml.Audience(text="https://somebody.example/else"))
    restriction.audience.append(saml.Audience(text="https://somebody.example/third"))
    return peer.sign(message)


@case("two audience restrictions, both of them met")
def _(peer):
    message = peer.response()
    message.assertion.conditions.audience_restriction *= 2
    return peer.sign(message)


@case("for one use, and no proxy")
def _(peer):
    message = peer.response()
    message.assertion.conditions.one_time_use = [saml.OneTimeUse()]
    message.assertion.conditions.proxy_restriction = [saml.ProxyRestriction(count="0")]
    return peer.sign(message)


@case("several confirmations, the good one last")
def _(peer):
    message = peer.response()
    good = message.assertion.subject.subject_confirmation[0]
    holder = saml.SubjectConfirmation(method="urn:oasis:names:tc:SAML:2.0:cm:holder-of-key")
    elsewhere = saml.SubjectConfirmation(
        method=saml.SCM_BEARER,
        subject_confirmation_data=saml.SubjectConfirmationData(
            recipient="https://somebody.example/acs", not_on_or_after=at(300), in_response_to=peer.request_id
        ),
    )
    message.assertion.subject.subject_confirmation = [holder, elsewhere, good]
    return peer.sign(message)


@case("an address of the visitor, which is not looked at")
def _(peer):
    message = peer.response()
    message.assertion.authn_statement[0].subject_locality = saml.SubjectLocality(
        address="198.51.100.7", dns_name="x.example"
    )
    return peer.sign(message)


@case("a session that ends")
def _(peer):
    message = peer.response()
    message.assertion.authn_statement[0].session_not_on_or_after = at(3600)
    return peer.sign(message)


@case("two sign-ins stated")
def _(peer):
    message = peer.response()
    message.assertion.authn_statement = message.assertion.authn_statement * 2
    return peer.sign(message)


@case("no session index")
def _(peer):
    message = peer.response()
    message.assertion.authn_statement[0].session_index = None
    return peer.sign(message)


@case("consent and a status message")
def _(peer):
    message = peer.response()
    message.consent = "urn:oasis:names:tc:SAML:2.0:consent:obtained"
    message.status.status_message = samlp.StatusMessage(text="all is well")
    return peer.sign(message)


@case("issuers with their format")
def _(peer):
    message = peer.response()
    for issuer in (message.issuer, message.assertion.issuer):
        issuer.format = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
    return peer.sign(message)


@case("no issuer of the Response")
def _(peer):
    message = peer.response()
    message.issuer = None
    return peer.sign(message, response=False)


@case("with an XML declaration")
def _(peer):
    text = peer.sign(peer.response())
    return text if text.startswith("<?xml") else f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'


@case("without an XML declaration")
def _(peer):
    text = peer.sign(peer.response())
    return text[text.index("?>") + 2 :].lstrip() if text.startswith("<?xml") else text


XENC, XENC11 = "http://www.w3.org/2001/04/xmlenc#", "http://www.w3.org/2009/xmlenc11#"
for bits in ("128", "192", "256"):
    for namespace, mode in ((XENC, "cbc"), (XENC11, "gcm")):

        def _(peer, cipher=f"{namespace}aes{bits}-{mode}", key=f"aes-{bits}"):
            return peer.encrypt(peer.sign(peer.response(), response=False), cipher, key)

        case(f"signed, then encrypted with AES-{bits}-{mode.upper()}")(_)


@case("encrypted, leaning on prefixes outside")
def _(peer):
    text = peer.sign(peer.response(), response=False)
    return peer.encrypt(text, f"{XENC}aes256-cbc", "aes-256", self_contained=False)


@case("encrypted first, then the Response signed around it")
def _(peer):
    message = peer.response()
    message.signature = pending_signature(message)
    text = peer.encrypt(str(message), f"{XENC}aes256-cbc", "aes-256")
    return peer.sign_text(text, class_name(message), message.id)
