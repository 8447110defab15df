package writ.authz_test

import data.writ.authz

request(caller, method, steps) := {
	"attributes": {"request": {"http": {"method": method}}},
	"parsed_path": steps,
	"source_principal": concat("", ["spiffe://example.org/", caller]),
	"writ": {"workload": "spiffe://example.org/orders"},
}

test_a_role_allows_what_it_has_the_permission_for if {
	authz.result == {"allowed": true, "reasons": [], "headers": {"x-writ-roles": "clerk"}} with input as request("web", "POST", ["orders"])
	authz.result.allowed with input as request("reports", "GET", ["orders", "17"])
}

test_and_nothing_else if {
	authz.result == {"allowed": false, "reasons": ["reports may not POST at orders: no role of its own has orders:write"]} with input as request("reports", "POST", ["orders"])
	authz.result.allowed == false with input as request("nobody", "GET", ["orders", "17"])
}

test_what_no_route_names_is_refused if {
	authz.result.reasons == ["nobody may DELETE /orders/17 at orders: no route names it"] with input as request("web", "DELETE", ["orders", "17"])
}

test_strangers_are_refused if {
	authz.result.reasons == ["the caller has no verified identity"] with input as {}
	foreign := object.union(request("web", "POST", ["orders"]), {"source_principal": "spiffe://evil.example/web"})
	authz.result == {"allowed": false, "reasons": ["spiffe://evil.example/web is not of example.org"]} with input as foreign
}
