# METADATA
# title: What a token's scopes allow
# description: |
#   A caller needs an identity of the mesh and a bearer token beside it. The token is checked by the keys, the issuer, the
#   audience and the algorithm in data.json, where you pin those of your own identity provider: as it comes, it has no key
#   and admits nobody. Each route says which scopes it takes. The workload gets the token's subject in x-writ-subject.
package writ.authz

import data.writ.lib.http
import data.writ.lib.identity
import data.writ.lib.jwt
import data.writ.lib.result as response

# METADATA
# entrypoint: true
# description: What the proxy asks for each request.
result := response.with_headers(response.allow([]), {"x-writ-subject": claims.sub}) if {
	allowed
} else := response.deny(reasons) # writ: allow allow-unidentified

default allowed := false

allowed if {
	in_mesh
	some route in routes
	jwt.has_scopes(claims, route.scopes)
	is_string(claims.sub)
}

in_mesh if identity.in_trust_domain(identity.caller, data.mesh.trust_domain)

claims := jwt.claims(data.mesh.trusted)

routes contains route if {
	some route in data.mesh.routes
	route.method == http.method
	http.at(route.path)
}

reasons contains $"the caller has no verified identity of {data.mesh.trust_domain}" if not in_mesh

reasons contains "there is no bearer token that holds" if not claims

reasons contains $"nobody may {http.method} here: no route names it" if count(routes) == 0

reasons contains $"{http.method} here takes the scopes {concat(" ", route.scopes)}" if {
	some route in routes
	claims
	not jwt.has_scopes(claims, route.scopes)
}
