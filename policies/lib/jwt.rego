# METADATA
# title: Tokens that callers bring
# description: |
#   Reads a bearer token, by keys that the policy pins. Nothing of a token can be had before its signature, its issuer, its
#   audience and its time have been checked. The header `authorization` is in no record unless the binding keeps it, so
#   such decisions are replayed only where it does.
package writ.lib.jwt

import data.writ.lib.http

# METADATA
# description: Token in the header `authorization`. It proves nothing yet.
# custom:
#   example: 'jwt.token'
token := given if {
	value := http.header("authorization")
	lower(substring(value, 0, 7)) == "bearer "
	given := trim_space(substring(value, 7, -1))
	regex.match(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`, given)
}

# METADATA
# description: |
#   Claims of the request's token, where it holds by `trusted`, an object of `jwks` (a JSON Web Key Set), `issuer`, `audience`
#   and `algorithm`, all of which must be given. The token must say when it expires. Time is the request's own.
# custom:
#   example: 'claims := jwt.claims({"jwks": data.shop.jwks, "issuer": "https://login.example", "audience": "shop", "algorithm": "ES256"})'
claims(trusted) := verified(token, trusted)

# METADATA
# description: The same of a token from elsewhere, such as another header.
# custom:
#   example: 'jwt.verified(http.header("x-token"), data.shop.trusted)'
verified(given, trusted) := payload if {
	count(trusted.jwks.keys) > 0
	[true, _, payload] = io.jwt.decode_verify(given, {
		"cert": json.marshal(trusted.jwks),
		"iss": trusted.issuer,
		"aud": trusted.audience,
		"alg": trusted.algorithm,
		"time": time.now_ns(),
	})
	is_number(payload.exp)
}

# METADATA
# description: Scopes of verified claims, from `scope` (RFC 8693) or `scp`.
# custom:
#   example: '"orders:write" in jwt.scopes(claims)'
scopes(claims) := {scope | some scope in split(claims.scope, " "); scope != ""} if {
	is_string(claims.scope)
} else := {scope | some scope in claims.scp}

# METADATA
# description: Holds where the claims have every one of the scopes, and where there is one at least.
# custom:
#   example: 'jwt.has_scopes(claims, ["orders:read"])'
has_scopes(claims, wanted) if {
	count(wanted) > 0
	had := scopes(claims)
	every scope in wanted {
		scope in had
	}
}

# METADATA
# description: Audiences of verified claims, of which tokens name one or many.
# custom:
#   example: '"shop" in jwt.audiences(claims)'
audiences(claims) := {claims.aud} if is_string(claims.aud)

audiences(claims) := {audience | some audience in claims.aud} if is_array(claims.aud)

# METADATA
# description: Holds for verified claims of that issuer.
# custom:
#   example: 'jwt.from_issuer(claims, "https://login.example")'
from_issuer(claims, issuer) if claims.iss == issuer
