package writ.authz_test

import data.writ.authz

request(caller, steps, headers) := {
	"attributes": {"request": {"http": {"method": "POST", "headers": headers}}},
	"parsed_path": steps,
	"source_principal": concat("", ["spiffe://example.org/", caller]),
	"writ": {"workload": "spiffe://example.org/payments"},
}

create := ["payments"]

approve := ["payments", "17", "approval"]

test_one_creates_and_another_approves if {
	authz.result == {"allowed": true, "reasons": []} with input as request("intake", create, {})
	authz.result.allowed with input as request("office", approve, {"x-user": "grace", "x-created-by": "ada"})
}

test_nobody_approves_their_own if {
	same := {"allowed": false, "reasons": ["payments:approve takes another person than the one who created it"]}
	authz.result == same with input as request("office", approve, {"x-user": "ada", "x-created-by": "Ada "})
	every headers in [{}, {"x-user": "ada"}, {"x-created-by": "ada"}, {"x-user": "", "x-created-by": "ada"}, {"x-user": "a,b", "x-created-by": "ada"}] {
		authz.result == same with input as request("office", approve, headers)
	}
}

test_only_front_ends_are_believed if {
	authz.result.allowed == false with input as request("office", approve, {"x-user": "grace", "x-created-by": "ada"})
		with data.mesh.front_ends as []
}

test_who_holds_both_may_do_neither if {
	authz.result == {"allowed": false, "reasons": ["legacy holds payments:create and payments:approve, which nobody may hold both of"]} with input as request("legacy", create, {})
	authz.result.allowed == false with input as request("legacy", approve, {"x-user": "grace", "x-created-by": "ada"})
}

test_what_no_role_allows_is_refused if {
	authz.result == {"allowed": false, "reasons": ["intake may not POST at payments: no role of its own allows it"]} with input as request("intake", ["payments", "17", "approval"], {"x-user": "grace", "x-created-by": "ada"})
		with data.mesh.front_ends as ["intake"]
	authz.result.reasons == ["the caller has no verified identity, or one of another trust domain"] with input as {}
}
