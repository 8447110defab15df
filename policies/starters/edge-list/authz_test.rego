package writ.authz_test

import data.writ.authz

request(caller, method, steps) := {
	"attributes": {"request": {"http": {"method": method}}},
	"parsed_path": steps,
	"source_principal": caller,
	"writ": {"workload": "spiffe://example.org/orders"},
}

web(method, steps) := request("spiffe://example.org/web", method, steps)

test_an_edge_allows_its_own_request if {
	authz.result == {"allowed": true, "reasons": []} with input as web("GET", ["orders", "17"])
	authz.result.allowed with input as web("POST", ["orders"])
}

test_what_no_edge_allows_is_refused_with_a_reason if {
	authz.result == {"allowed": false, "reasons": ["web may not DELETE /orders/{id} at orders: no edge allows it"]} with input as web("DELETE", ["orders", "17"])
}

test_every_workload_of_the_mesh_may_ask_for_health if {
	authz.result.allowed with input as request("spiffe://example.org/other", "GET", ["healthz"])
	not authz.result.allowed with input as request("spiffe://example.org/other", "POST", ["healthz"])
	not authz.result.allowed with input as request("spiffe://evil.example/other", "GET", ["healthz"])
}

test_nobody_without_identity_passes if {
	authz.result.allowed == false with input as object.remove(web("GET", ["orders", "17"]), ["source_principal"])
	authz.result.allowed == false with input as {}
}
