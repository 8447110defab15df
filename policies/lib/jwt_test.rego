package writ.lib.jwt_test

import data.writ.lib.jwt

# Keys and tokens of the tests alone.
key := {"kty": "oct", "kid": "one", "alg": "HS256", "k": "YSBrZXkgZm9yIHRlc3RzIG9ubHksIDMyIGJ5dGVzISE"}

other := {"kty": "oct", "kid": "one", "alg": "HS256", "k": "YW5vdGhlciBrZXkgZm9yIHRlc3RzIG9ubHksIDMyIGI"}

trusted := {"jwks": {"keys": [key]}, "issuer": "https://login.example", "audience": "shop", "algorithm": "HS256"}

exp := 4000000000

good := {"iss": "https://login.example", "aud": ["shop", "bank"], "exp": exp, "sub": "ada", "scope": "orders:read orders:write"}

signed(claims, by) := io.jwt.encode_sign({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims, by)

request(value) := {"attributes": {"request": {"http": {"headers": {"authorization": value}}}}}

bearer(token) := request(concat(" ", ["Bearer", token]))

test_a_token_that_holds_gives_its_claims if {
	jwt.claims(trusted) == good with input as bearer(signed(good, key))
	jwt.claims(trusted).sub == "ada" with input as request(concat("", ["bearer   ", signed(good, key)]))
	jwt.verified(signed(good, key), trusted) == good
}

test_another_key_is_not_trusted if {
	not jwt.claims(trusted) with input as bearer(signed(good, other))
}

test_another_issuer_or_audience_or_algorithm_is_not_trusted if {
	every wrong in [{"issuer": "https://evil.example"}, {"audience": "mail"}, {"algorithm": "HS512"}] {
		not jwt.claims(object.union(trusted, wrong)) with input as bearer(signed(good, key))
	}
}

test_what_is_trusted_must_be_said_whole if {
	every member in ["jwks", "issuer", "audience", "algorithm"] {
		not jwt.claims(object.remove(trusted, [member])) with input as bearer(signed(good, key))
	}
	not jwt.claims(object.union(trusted, {"jwks": {"keys": []}})) with input as bearer(signed(good, key))
}

test_a_token_holds_until_it_expires_and_must_say_when if {
	token := signed(good, key)
	jwt.verified(token, trusted) with time.now_ns as (exp - 1) * 1000000000
	not jwt.verified(token, trusted) with time.now_ns as exp * 1000000000
	not jwt.verified(signed(object.remove(good, ["exp"]), key), trusted)
	not jwt.verified(signed(object.union(good, {"nbf": exp - 10}), key), trusted) with time.now_ns as (exp - 11) * 1000000000
}

test_what_is_no_bearer_token_is_none if {
	every value in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b", "Bearer a.b.c.d", "Bearer a b.c.d", "Bearera.b.c"] {
		not jwt.token with input as request(value)
		not jwt.claims(trusted) with input as request(value)
	}
	not jwt.token with input as {}
}

test_scopes_are_a_text_or_a_list if {
	jwt.scopes(good) == {"orders:read", "orders:write"}
	jwt.scopes({"scope": " a  b "}) == {"a", "b"}
	jwt.scopes({"scp": ["a", "b"]}) == {"a", "b"}
	jwt.scopes({}) == set()
}

test_every_scope_is_needed_and_one_at_least if {
	jwt.has_scopes(good, ["orders:read"])
	jwt.has_scopes(good, ["orders:read", "orders:write"])
	not jwt.has_scopes(good, ["orders:read", "orders:delete"])
	not jwt.has_scopes(good, ["orders"])
	not jwt.has_scopes(good, [])
}

test_audiences_are_one_or_many if {
	jwt.audiences(good) == {"shop", "bank"}
	jwt.audiences({"aud": "shop"}) == {"shop"}
	not jwt.audiences({})
}

test_an_issuer_is_compared_whole if {
	jwt.from_issuer(good, "https://login.example")
	not jwt.from_issuer(good, "https://login.example/")
}
