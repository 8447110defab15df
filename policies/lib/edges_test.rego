package writ.lib.edges_test

import data.writ.lib.edges

list := [
	{"from": "web", "to": "orders", "method": "GET", "path": ["orders", "{id}"]},
	{"from": "web", "to": "orders", "method": "POST", "path": "/orders"},
]

input_of(caller, method, steps) := {
	"attributes": {"request": {"http": {"method": method}}},
	"parsed_path": steps,
	"source_principal": caller,
	"writ": {"workload": "spiffe://shop.example/orders"},
}

web(method, steps) := input_of("spiffe://shop.example/web", method, steps)

allowed if edges.allows(list, edges.request("shop.example"))

reason := edges.reason(list, "shop.example")

test_an_edge_allows_its_own_request if {
	allowed with input as web("GET", ["orders", "17"])
	allowed with input as web("POST", ["orders"])
}

test_an_edge_allows_nothing_beside_it if {
	not allowed with input as web("DELETE", ["orders", "17"])
	not allowed with input as web("GET", ["orders"])
	not allowed with input as web("GET", ["orders", ".."])
	not allowed with input as input_of("spiffe://shop.example/ads", "GET", ["orders", "17"])
	not allowed with input as input_of("spiffe://evil.example/web", "GET", ["orders", "17"])
	not allowed with input as object.union(web("GET", ["orders", "17"]), {"writ": {"workload": "spiffe://shop.example/bank"}})
	not allowed with input as {}
}

test_a_reason_is_given_for_what_is_not_allowed_and_names_no_values if {
	reason == "web may not DELETE /orders/{id} at orders: no edge allows it" with input as web("DELETE", ["orders", "17"])
	reason == "web may not DELETE /orders at orders: no edge allows it" with input as web("DELETE", ["orders"])
	reason == "web may not GET /secrets at orders: no edge allows it" with input as web("GET", ["secrets"])
	not reason with input as web("GET", ["orders", "17"])
}

test_strangers_are_told_so if {
	reason == "the caller has no verified identity" with input as object.remove(web("GET", ["orders"]), ["source_principal"])
	reason == "spiffe://evil.example/web is not of shop.example" with input as input_of("spiffe://evil.example/web", "GET", ["orders"])
}
