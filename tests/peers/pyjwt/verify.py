"""Verifies a token as an upstream would: PyJWT, with the keys fetched from where the gateway publishes them.

Arguments: the address of the keys, a file with the certificate to trust, audience, issuer. The token comes by standard input.
Prints the header and the claims as JSON, or the name of what is wrong.
"""

import json
import ssl
import sys

import jwt

address, authority, audience, issuer = sys.argv[1:]
token = sys.stdin.read().strip()
keys = jwt.PyJWKClient(address, ssl_context=ssl.create_default_context(cafile=authority))
try:
    key = keys.get_signing_key_from_jwt(token)
    required = ["iss", "aud", "sub", "iat", "nbf", "exp", "jti"]
    claims = jwt.decode(
        token, key, algorithms=["RS256", "ES256"], audience=audience, issuer=issuer, options={"require": required}
    )
    print(json.dumps({"header": jwt.get_unverified_header(token), "claims": claims}))
except jwt.PyJWTError as wrong:
    print(json.dumps({"wrong": type(wrong).__name__}))
