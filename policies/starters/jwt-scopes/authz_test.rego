package writ.authz_test

import data.writ.authz

# A key of the tests alone.
key := {"kty": "oct", "kid": "one", "alg": "HS256", "k": "YSBrZXkgZm9yIHRlc3RzIG9ubHksIDMyIGJ5dGVzISE"}

trusted := {"issuer": "https://login.example.org", "audience": "orders", "algorithm": "HS256", "jwks": {"keys": [key]}}

claims := {"iss": trusted.issuer, "aud": trusted.audience, "exp": 4000000000, "sub": "ada", "scope": "orders:read"}

request(method, steps, changed) := {
	"attributes": {"request": {"http": {"method": method, "headers": {"authorization": concat(" ", ["Bearer", token(changed)])}}}},
	"parsed_path": steps,
	"source_principal": "spiffe://example.org/web",
	"writ": {"workload": "spiffe://example.org/orders"},
}

token(changed) := io.jwt.encode_sign({"alg": "HS256", "kid": "one"}, object.union(claims, changed), key)

answer(asked) := given if {
	given := authz.result with input as asked with data.mesh.trusted as trusted
}

test_a_scope_allows_its_route if {
	answer(request("GET", ["orders", "17"], {})) == {"allowed": true, "reasons": [], "headers": {"x-writ-subject": "ada"}}
}

test_and_no_other if {
	answer(request("POST", ["orders"], {})) == {"allowed": false, "reasons": ["POST here takes the scopes orders:write"]}
	answer(request("DELETE", ["orders", "17"], {})) == {"allowed": false, "reasons": ["nobody may DELETE here: no route names it"]}
}

test_a_token_that_does_not_hold_is_none if {
	every changed in [{"exp": 1}, {"iss": "https://evil.example"}, {"aud": "mail"}] {
		answer(request("GET", ["orders", "17"], changed)) == {"allowed": false, "reasons": ["there is no bearer token that holds"]}
	}
}

test_a_token_is_not_enough_without_an_identity if {
	answer(object.remove(request("GET", ["orders", "17"], {}), ["source_principal"])) == {"allowed": false, "reasons": ["the caller has no verified identity of example.org"]}
}

test_as_it_comes_it_trusts_no_key if {
	authz.result.allowed == false with input as request("GET", ["orders", "17"], {})
}
