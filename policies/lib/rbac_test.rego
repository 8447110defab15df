package writ.lib.rbac_test

import data.writ.lib.rbac

model := {
	"roles": {"clerk": ["orders:read"], "manager": ["orders:read", "orders:write"]},
	"grants": {"web": ["clerk"], "desk": ["clerk", "manager"], "ghost": ["gone"]},
	"routes": [
		{"method": "GET", "path": ["orders", "{id}"], "permission": "orders:read"},
		{"method": "POST", "path": "/orders", "permission": "orders:write"},
		{"method": "GET", "path": ["secrets"], "permission": "secrets:read", "to": "vault"},
		{"method": "PUT", "path": ["orders", "{id}"], "permission": "orders:write"},
		{"method": "PUT", "path": ["orders", "17"], "permission": "orders:write-17"},
	],
}

asked(from, method, path) := {"from": from, "to": "orders", "method": method, "path": path}

test_roles_that_are_not_there_give_nothing if {
	rbac.roles(model, "desk") == {"clerk", "manager"}
	rbac.roles(model, "ghost") == set()
	rbac.roles(model, "nobody") == set()
}

test_permissions_are_of_all_roles if {
	rbac.permissions(model, "desk") == {"orders:read", "orders:write"}
	rbac.may(model, "web", "orders:read")
	not rbac.may(model, "web", "orders:write")
	not rbac.may(model, "nobody", "orders:read")
}

test_a_request_is_allowed_by_what_it_needs if {
	rbac.allows(model, asked("web", "GET", ["orders", "17"]))
	not rbac.allows(model, asked("web", "POST", ["orders"]))
	rbac.allows(model, asked("desk", "POST", ["orders"]))
}

test_what_no_route_names_is_not_allowed if {
	rbac.needed(model, asked("desk", "DELETE", ["orders", "17"])) == set()
	not rbac.allows(model, asked("desk", "DELETE", ["orders", "17"]))
}

test_where_two_routes_fit_both_are_needed if {
	rbac.needed(model, asked("desk", "PUT", ["orders", "17"])) == {"orders:write", "orders:write-17"}
	not rbac.allows(model, asked("desk", "PUT", ["orders", "17"]))
	rbac.allows(model, asked("desk", "PUT", ["orders", "18"]))
}

test_a_route_may_be_of_one_workload if {
	rbac.needed(model, asked("web", "GET", ["secrets"])) == set()
	rbac.needed(model, {"from": "web", "to": "vault", "method": "GET", "path": ["secrets"]}) == {"secrets:read"}
}
