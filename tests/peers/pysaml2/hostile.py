"""Answers that must not be believed: false, stolen, stale, weak, or meant for somebody else."""

import copy
import re

from saml2 import class_name, saml, samlp, xmldsig
from saml2.saml import NameID
from saml2.sigver import pre_signature_part

from honest import XENC, XENC11, pending_signature
from message import EVIL, GOOD, assertion_span, at, prefix_of, signature_span, with_declarations

CASES = {}


def case(name):
    """Keeps an answer under that name."""

    def keep(make):
        CASES[name] = make
        return make

    return keep


def changed(change, **how):
    """The usual message, signed after `change`."""

    def make(peer):
        message = peer.response()
        change(peer, message)
        return peer.sign(message, **how)

    return make


case("pysaml2's default algorithms, which are SHA-1")(
    lambda peer: peer.sign(peer.response(), algorithm=xmldsig.SIG_RSA_SHA1, digest=xmldsig.DIGEST_SHA1)
)
case("a digest of SHA-1 under RSA-SHA256")(lambda peer: peer.sign(peer.response(), digest=xmldsig.DIGEST_SHA1))
case("RSA-SHA224")(lambda peer: peer.sign(peer.response(), algorithm=xmldsig.SIG_RSA_SHA224))
case("unsigned")(lambda peer: str(peer.response()))
case("signed by a key that is not in metadata")(lambda peer: peer.sign(peer.response(), key="other"))
case("changed after it was signed")(lambda peer: peer.sign(peer.response()).replace(GOOD, EVIL))


@case("signed by another key, whose certificate is in it")
def _(peer):
    with open(f"{peer.folder}/other.crt") as file:
        body = "".join(line.strip() for line in file if not line.startswith("-"))
    return peer.sign(peer.response(), key="other", certificate=body)


@case("an HMAC under the provider's certificate")
def _(peer):
    message = peer.response()
    message.signature = pre_signature_part(
        message.id, digest_alg=xmldsig.DIGEST_SHA256, sign_alg="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
    )
    return peer.xmlsec1(str(message), "--sign", "--hmackey", f"{peer.folder}/idp.crt")


def _transform(name, algorithm, inside=""):
    def make(peer):
        text = peer.sign(peer.response(), response=False)
        start, end = signature_span(text)
        signature = text[start:end]
        prefix = re.search(r"<(\w+):Transforms", signature).group(1)
        extra = f'<{prefix}:Transform Algorithm="{algorithm}">{inside}</{prefix}:Transform></{prefix}:Transforms>'
        return text[:start] + signature.replace(f"</{prefix}:Transforms>", extra) + text[end:]

    case(name)(make)


_transform("a stylesheet in its signature", "http://www.w3.org/TR/1999/REC-xslt-19991116")
_transform("an XPath in its signature", "http://www.w3.org/TR/1999/REC-xpath-19991116", "<XPath>true()</XPath>")

for place in ("", "http://127.0.0.1:1/x", "file:///etc/passwd", "#xpointer(/)"):

    def _(peer, place=place):
        text = peer.sign(peer.response(), response=False)
        return re.sub(r'URI="#[^"]*"', f'URI="{place}"', text, count=1)

    case(f"its signature points at {place or 'nothing'!r}")(_)


# Wrapping: an honest signed element, moved to where it is not read, and the attacker's where it is.


class Honest:
    """A message with a signed Assertion, in parts; `evil` is the attacker's copy of the Assertion."""

    def __init__(self, peer):
        text = peer.sign(peer.response(), response=False)
        start, end = assertion_span(text)
        self.before, self.after = text[:start], text[end:]
        self.whole = with_declarations(text[start:end], text)
        start, end = signature_span(self.whole)
        self.signature = self.whole[start:end]
        self.bare = self.whole[:start] + self.whole[end:]
        self.evil = re.sub(r' ID="[^"]*"', ' ID="_evil"', self.bare, count=1).replace(GOOD, EVIL)
        self.protocol, self.saml = prefix_of(text, samlp.NAMESPACE), prefix_of(text, saml.NAMESPACE)
        # What stands before the Assertion ends with the Status.
        self.status = self.before.rindex(f"<{self.protocol}:Status>")

    def around(self, inside):
        """A Response with this inside, in place of the Assertion."""
        return f"{self.before}{inside}{self.after}"

    def ahead(self, extensions):
        """A Response with extensions, and the honest Assertion."""
        tag = f"{self.protocol}:Extensions"
        before = f"{self.before[:self.status]}<{tag}>{extensions}</{tag}>{self.before[self.status:]}"
        return f"{before}{self.whole}{self.after}"

    def signed_evil(self, signature):
        """The attacker's copy with a signature after its issuer."""
        end = self.evil.index(f"</{self.saml}:Issuer>") + len(f"</{self.saml}:Issuer>")
        return self.evil[:end] + signature + self.evil[end:]

    def in_signature(self, inside):
        """The signature, with something at its end."""
        end = self.signature.rindex("</")
        return self.signature[:end] + inside + self.signature[end:]

    def object(self, inside):
        """Something as an Object of the signature."""
        prefix = re.match(r"<(\w+):", self.signature).group(1)
        return self.in_signature(f"<{prefix}:Object>{inside}</{prefix}:Object>")


def _wrapped(name, make):
    case(f"wrapped: {name}")(lambda peer: make(Honest(peer)))


def _inside(honest):
    end = honest.evil.rindex("</")
    return honest.around(honest.evil[:end] + honest.whole + honest.evil[end:])


_wrapped("evil before honest", lambda honest: honest.around(honest.evil + honest.whole))
_wrapped("evil after honest", lambda honest: honest.around(honest.whole + honest.evil))
_wrapped("honest in evil", _inside)
_wrapped(
    "the signature in evil, honest after it",
    lambda honest: honest.around(honest.signed_evil(honest.signature) + honest.bare),
)
_wrapped(
    "the signature in evil, honest in the signature",
    lambda honest: honest.around(honest.signed_evil(honest.in_signature(honest.bare))),
)
_wrapped(
    "the signature in evil, honest in an Object of it",
    lambda honest: honest.around(honest.signed_evil(honest.object(honest.bare))),
)
_wrapped("evil in Extensions", lambda honest: honest.ahead(honest.evil))
_wrapped("evil with the ID of honest in Extensions", lambda honest: honest.ahead(honest.bare.replace(GOOD, EVIL)))
_wrapped("the signature in evil alone", lambda honest: honest.around(honest.signed_evil(honest.signature)))


@case("wrapped: a Response in a Response")
def _(peer):
    inner = peer.sign(peer.response())
    inner = inner[inner.index("?>") + 2 :].lstrip() if inner.startswith("<?xml") else inner
    outer = str(peer.response(name_id=NameID(text=EVIL)))
    start, end = assertion_span(outer)
    return f"{outer[:end]}{inner}{outer[end:]}"


@case("two Assertions, both honest")
def _(peer):
    message = peer.response()
    second = copy.deepcopy(message.assertion)
    second.id = "_second"
    message.assertion = [message.assertion, second]
    message.signature = pending_signature(message)
    return peer.sign_text(str(message), class_name(message), message.id)


@case("an entity for the NameID")
def _(peer):
    text = peer.sign(peer.response())
    body = text[text.index("?>") + 2 :].lstrip() if text.startswith("<?xml") else text
    return f'<!DOCTYPE r [<!ENTITY e "{EVIL}">]>' + body.replace(f">{GOOD}<", ">&e;<")


# What it says, well signed.


def _set(name, change, **how):
    case(name)(changed(change, **how))


def _condition(**fields):
    def change(_peer, message):
        for name, value in fields.items():
            setattr(message.assertion.conditions, name, value)

    return change


def _confirmation(**fields):
    def change(_peer, message):
        data = message.assertion.subject.subject_confirmation[0].subject_confirmation_data
        for name, value in fields.items():
            setattr(data, name, value)

    return change


def _everywhere(**fields):
    def change(_peer, message):
        for part in (message, message.assertion):
            for name, value in fields.items():
                setattr(part, name, value)

    return change


def _issuer(text):
    def change(_peer, message):
        message.issuer.text = message.assertion.issuer.text = text

    return change


def _audience(*texts):
    def change(_peer, message):
        restrictions = [saml.AudienceRestriction(audience=[saml.Audience(text=text)]) for text in texts]
        message.assertion.conditions.audience_restriction = restrictions

    return change


def _method(method):
    def change(_peer, message):
        message.assertion.subject.subject_confirmation[0].method = method

    return change


def _failed(_peer, message):
    message.status.status_code.value = samlp.STATUS_AUTHN_FAILED


def _partly(_peer, message):
    message.in_response_to = "_somebody-elses"


def _nobody(_peer, message):
    message.assertion.subject.name_id = None


def _nowhere(_peer, message):
    message.assertion.authn_statement = []


def _narrower(peer, message):
    ours = message.assertion.conditions.audience_restriction[0]
    other = saml.AudienceRestriction(audience=[saml.Audience(text="https://somebody.example/else")])
    message.assertion.conditions.audience_restriction = [ours, other]


_set("it ended an hour ago", _condition(not_before=at(-7200), not_on_or_after=at(-3600)))
_set("it begins in an hour", _condition(not_before=at(3600), not_on_or_after=at(7200)))
_set("its confirmation ended an hour ago", _confirmation(not_on_or_after=at(-3600)))
_set("its confirmation never ends", _confirmation(not_on_or_after=None))
_set("its confirmation begins later", _confirmation(not_before=at(-60)))
_set("issued yesterday", _everywhere(issue_instant=at(-86400)))
_set("issued tomorrow", _everywhere(issue_instant=at(86400)))
_set("for somebody else", _audience("https://somebody.example/else"))
_set("for nobody in particular", _condition(audience_restriction=[]))
_set("for us and at the same time for somebody else", _narrower)
_set("to another address", lambda peer, message: setattr(message, "destination", "https://somebody.example/acs"))
_set("to no address, signed", lambda peer, message: setattr(message, "destination", None))
_set("for another recipient", _confirmation(recipient="https://somebody.example/acs"))
_set("for no recipient", _confirmation(recipient=None))
_set(
    "answers another request",
    lambda peer, message: (_partly(peer, message), _confirmation(in_response_to="_somebody-elses")(peer, message)),
)
_set("its Response answers another request", _partly, response=False)
_set("its Assertion answers another request", _confirmation(in_response_to="_somebody-elses"))
_set("its Assertion answers none", _confirmation(in_response_to=None))
_set("from another provider, as it says", _issuer("https://somebody.example/idp"))
_set("failed, with a good Assertion", _failed)
_set("failed, with a good signed Assertion", _failed, response=False)
_set("about nobody", _nobody)
_set("about no sign-in", _nowhere)
_set("whose bearer is not enough", _method("urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"))
_set("on somebody's word", _method("urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"))
_set(
    "a session that ended",
    lambda peer, message: setattr(message.assertion.authn_statement[0], "session_not_on_or_after", at(-3600)),
)


@case("a condition that nobody knows")
def _(peer):
    message = peer.response()
    text = str(message)
    prefix = prefix_of(text, saml.NAMESPACE)
    message.signature = pending_signature(message)
    text = str(message).replace(f"</{prefix}:Conditions>", f'<x:Condition xmlns:x="urn:x"/></{prefix}:Conditions>')
    return peer.sign_text(text, class_name(message), message.id)


# Encrypted, which proves nothing.


def _encrypted(name, make, cipher=f"{XENC11}aes256-gcm", session_key="aes-256", **how):
    case(f"encrypted: {name}")(lambda peer: peer.encrypt(make(peer), cipher, session_key, **how))


_encrypted("nobody signed", lambda peer: str(peer.response(name_id=NameID(text=EVIL))))
_encrypted(
    "another signed", lambda peer: peer.sign(peer.response(name_id=NameID(text=EVIL)), response=False, key="other")
)
_encrypted("changed", lambda peer: peer.sign(peer.response(), response=False).replace(GOOD, EVIL))
_encrypted(
    "for somebody else",
    lambda peer: peer.sign(peer.response(), response=False).replace(
        f">{peer.service_provider}<", ">https://somebody.example/else<"
    ),
)
_encrypted(
    "with pysaml2's default cipher, which is 3DES",
    lambda peer: peer.sign(peer.response(), response=False),
    cipher=f"{XENC}tripledes-cbc",
    session_key="des-192",
)
_encrypted(
    "with a key transport that is broken, RSA 1.5",
    lambda peer: peer.sign(peer.response(), response=False),
    key_transport=f"{XENC}rsa-1_5",
)


@case("encrypted: to another key")
def _(peer):
    text = peer.sign(peer.response(), response=False)
    return peer.encrypt(text, f"{XENC11}aes256-gcm", "aes-256", certificate=f"{peer.folder}/other.crt")


@case("encrypted: evil, beside an honest one in the clear")
def _(peer):
    honest = Honest(peer)
    hidden = peer.encrypt(honest.around(honest.evil), f"{XENC11}aes256-gcm", "aes-256")
    tag = f"{honest.saml}:EncryptedAssertion"
    end = hidden.index(f"</{tag}>") + len(f"</{tag}>")
    return hidden[:end] + honest.whole + hidden[end:]
