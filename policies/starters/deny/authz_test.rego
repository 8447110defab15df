package writ.authz_test

import data.writ.authz

request := {
	"attributes": {"request": {"http": {"method": "GET"}}},
	"parsed_path": ["orders"],
	"source_principal": "spiffe://example.org/web",
	"writ": {"workload": "spiffe://example.org/orders"},
}

test_everything_is_refused_with_a_reason if {
	authz.result == {"allowed": false, "reasons": ["spiffe://example.org/web may not GET /orders: nothing is allowed here"]} with input as request
}

test_a_caller_without_identity_is_told_so if {
	authz.result.reasons == ["the caller has no verified identity"] with input as object.remove(request, ["source_principal"])
	authz.result.allowed == false with input as {}
}
