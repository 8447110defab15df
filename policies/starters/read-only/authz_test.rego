package writ.authz_test

import data.writ.authz

request(method, steps) := {
	"attributes": {"request": {"http": {"method": method}}},
	"parsed_path": steps,
	"source_principal": "spiffe://example.org/web",
	"writ": {"workload": "spiffe://example.org/orders"},
}

test_everyone_of_the_mesh_may_read if {
	every method in ["GET", "HEAD", "OPTIONS"] {
		authz.result == {"allowed": true, "reasons": []} with input as request(method, ["orders", "17"])
	}
	authz.result.allowed with input as request("GET", ["orders", ""])
	authz.result.allowed with input as request("GET", [""])
}

test_nobody_may_write if {
	authz.result == {"allowed": false, "reasons": ["nobody may POST here: this may only be read"]} with input as request("POST", ["orders"])
	authz.result.allowed == false with input as request("PROPFIND", ["orders"])
}

test_what_is_private_is_not_read if {
	every steps in [["admin"], ["admin", "keys"], ["accounts", "17", "secrets"], ["admin", ""], ["admin", "keys", ""]] {
		authz.result == {"allowed": false, "reasons": ["this is private"]} with input as request("GET", steps)
	}
	authz.result.allowed with input as request("GET", ["accounts", "17"])
}

test_nor_what_an_upstream_may_read_as_private if {
	every steps in [["", "admin"], [".", "admin"], ["orders", "..", "admin"], ["orders/../admin"], ["orders\\admin"]] {
		authz.result.allowed == false with input as request("GET", steps)
	}
}

test_strangers_may_not_even_read if {
	authz.result.allowed == false with input as object.union(request("GET", ["orders"]), {"source_principal": "spiffe://evil.example/web"})
	authz.result.allowed == false with input as {}
	authz.result.allowed == false with input as request("GET", ["orders"]) with data.mesh as {"trust_domain": "example.org"}
}
