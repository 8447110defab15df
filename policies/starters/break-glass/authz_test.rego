package writ.authz_test

import data.writ.authz

request(caller, reason) := {
	"attributes": {"request": {"http": {"method": "DELETE", "headers": {"x-break-glass-reason": reason}}}},
	"parsed_path": ["orders", "17"],
	"source_principal": concat("", ["spiffe://example.org/", caller]),
	"writ": {"workload": "spiffe://example.org/orders"},
}

why := "order 17 blocks the queue"

during := "2026-01-01T09:00:00Z"

answer(asked, moment) := given if {
	given := authz.result with input as asked with time.now_ns as time.parse_rfc3339_ns(moment)
}

answer_by(changed, moment) := given if {
	grants := [object.union(data.mesh.grants[0], changed)]
	given := authz.result with input as request("admin/ada", why)
		with time.now_ns as time.parse_rfc3339_ns(moment)
		with data.mesh.grants as grants
}

test_a_grant_with_a_reason_allows_and_says_so if {
	answer(request("admin/ada", why), during) == {"allowed": true, "reasons": ["BREAK-GLASS INC-1: order 17 blocks the queue; approved by admin/grace until 2026-01-01T12:00:00Z"]}
}

test_without_a_reason_it_does_not if {
	refused := answer(request("admin/ada", " . "), during)
	refused.allowed == false
	"BREAK-GLASS INC-1 is open, but x-break-glass-reason gives no reason" in refused.reasons
}

test_nor_before_or_after_its_time if {
	answer(request("admin/ada", why), "2026-01-01T07:59:59Z").allowed == false
	answer(request("admin/ada", why), "2026-01-01T12:00:00Z").allowed == false
}

test_nor_for_others_or_at_other_workloads if {
	answer(request("admin/eve", why), during).allowed == false
	answer(object.union(request("admin/ada", why), {"writ": {"workload": "spiffe://example.org/ledger"}}), during).allowed == false
}

test_nor_where_it_is_too_long_or_approved_by_who_uses_it if {
	answer_by({}, during).allowed
	answer_by({"until": "2026-01-02T08:00:00Z"}, during).allowed == false
	answer_by({"approved_by": "admin/ada"}, during).allowed == false
}

test_what_an_edge_allows_is_no_emergency if {
	get := object.union(request("web", why), {"attributes": {"request": {"http": {"method": "GET"}}}})
	answer(get, during) == {"allowed": true, "reasons": []}
}
