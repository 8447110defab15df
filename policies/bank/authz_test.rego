package writ.authz_test

import data.writ.authz

# What the proxy would hand over, as far as the policy reads it.
request(caller, method, path, callee) := {
	"attributes": {"request": {"http": {"method": method}}},
	"parsed_path": split(trim_prefix(path, "/"), "/"),
	"source_principal": concat("", ["spiffe://bank.example/", caller]),
	"writ": {"workload": concat("", ["spiffe://bank.example/", callee])},
}

allowed(caller, method, path, callee) if {
	authz.result == {"allowed": true, "reasons": []} with input as request(caller, method, path, callee)
}

reason(caller, method, path, callee) := why if {
	answer := authz.result with input as request(caller, method, path, callee)
	answer.allowed == false
	count(answer.reasons) == 1
	why := answer.reasons[0]
}

test_storefront_may_list_read_and_place_orders if {
	allowed("storefront", "GET", "/orders", "orders")
	allowed("storefront", "GET", "/orders/17", "orders")
	allowed("storefront", "POST", "/orders", "orders")
}

test_orders_may_read_accounts_and_transfer if {
	allowed("orders", "GET", "/accounts/de-1", "ledger")
	allowed("orders", "POST", "/transfers", "ledger")
}

test_storefront_may_not_delete_an_order if {
	reason("storefront", "DELETE", "/orders/17", "orders") == "storefront may not DELETE /orders/{id} at orders: no edge allows it"
}

test_an_edge_holds_in_its_own_direction_only if {
	reason("ledger", "GET", "/orders", "storefront") == "ledger may not GET /orders at storefront: no edge allows it"
	not allowed("orders", "GET", "/orders", "storefront")
}

test_storefront_may_not_skip_orders if {
	reason("storefront", "POST", "/transfers", "ledger") == "storefront may not POST /transfers at ledger: no edge allows it"
	not allowed("storefront", "GET", "/accounts/de-1", "ledger")
}

test_a_workload_without_edges_is_refused_everywhere if {
	not allowed("auditor-app", "GET", "/orders", "orders")
	not allowed("auditor-app", "GET", "/accounts/de-1", "ledger")
}

test_every_workload_may_ask_for_health_but_only_with_get if {
	allowed("auditor-app", "GET", "/healthz", "ledger")
	allowed("ledger", "GET", "/healthz", "orders")
	not allowed("ledger", "POST", "/healthz", "orders")
	not allowed("ledger", "GET", "/healthz/", "orders")
}

test_a_step_in_braces_is_one_step_and_not_empty if {
	not allowed("storefront", "GET", "/orders/", "orders")
	not allowed("storefront", "GET", "/orders/17/items", "orders")
	not allowed("storefront", "GET", "/orders/..", "orders")
	not allowed("storefront", "GET", "/", "orders")
}

test_a_step_that_holds_a_slash_is_no_step if {
	slashed := object.union(request("storefront", "GET", "/orders/1", "orders"), {"parsed_path": ["orders", "1/items"]})
	not authz.result.allowed with input as slashed
}

test_methods_are_compared_as_they_are if {
	not allowed("storefront", "get", "/orders", "orders")
	not allowed("storefront", "HEAD", "/orders", "orders")
}

test_nobody_without_identity_passes if {
	anonymous := object.remove(request("storefront", "GET", "/healthz", "orders"), ["source_principal"])
	authz.result == {"allowed": false, "reasons": ["the caller has no verified identity"]} with input as anonymous
}

test_no_other_trust_domain_passes if {
	every id in ["spiffe://evil.example/storefront", "spiffe://bank.example.evil/storefront", "storefront"] {
		foreign := object.union(request("storefront", "GET", "/orders", "orders"), {"source_principal": id})
		answer := authz.result with input as foreign
		answer == {"allowed": false, "reasons": [$"{id} is not of bank.example"]}
	}
}

test_what_is_not_known_is_denied if {
	authz.result.allowed == false with input as {}
	whole := request("storefront", "GET", "/orders", "orders")
	every part in ["attributes", "parsed_path", "source_principal", "writ"] {
		authz.result.allowed == false with input as object.remove(whole, [part])
	}
}

test_without_data_everything_is_denied if {
	whole := request("storefront", "GET", "/orders", "orders")
	authz.result.allowed == false with input as whole with data.bank as {}
}

test_an_edge_is_one_line_of_data if {
	edges := array.concat(data.bank.edges, [{"from": "storefront", "to": "orders", "method": "DELETE", "path": ["orders", "{id}"]}])
	authz.result.allowed with input as request("storefront", "DELETE", "/orders/17", "orders")
		with data.bank.edges as edges
}
