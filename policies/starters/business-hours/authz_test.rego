package writ.authz_test

import data.writ.authz

request(caller, method) := {
	"attributes": {"request": {"http": {"method": method}}},
	"parsed_path": ["orders"],
	"source_principal": concat("", ["spiffe://example.org/", caller]),
	"writ": {"workload": "spiffe://example.org/orders"},
}

answer(caller, method, moment) := given if {
	given := authz.result with input as request(caller, method) with time.now_ns as time.parse_rfc3339_ns(moment)
}

test_the_desk_works_while_the_office_is_open if {
	answer("desk", "POST", "2026-11-23T08:00:00+01:00") == {"allowed": true, "reasons": []}
	answer("desk", "POST", "2026-11-23T18:00:00+01:00") == {"allowed": false, "reasons": ["desk may POST at orders during opening hours only"]}
	answer("desk", "POST", "2026-11-22T12:00:00+01:00").allowed == false
	answer("desk", "POST", "2026-12-25T12:00:00+01:00").allowed == false
}

test_what_runs_always_runs_at_night if {
	answer("batch", "GET", "2026-11-22T03:00:00+01:00") == {"allowed": true, "reasons": []}
}

test_hours_open_nothing_that_no_edge_allows if {
	answer("desk", "DELETE", "2026-11-23T12:00:00+01:00") == {"allowed": false, "reasons": ["desk may not DELETE /orders at orders: no edge allows it"]}
	answer("batch", "POST", "2026-11-23T12:00:00+01:00").allowed == false
}

test_strangers_are_refused if authz.result == {"allowed": false, "reasons": ["the caller has no verified identity"]} with input as {}
