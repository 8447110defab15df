# METADATA
# title: Roles
# description: |
#   `model` is an object of `roles` (a role to its permissions), `grants` (a caller to its roles) and, to judge requests,
#   `routes`: what a request needs, each a `permission` with a `method`, a `path` and, where not for all, whom it is `to`.
package writ.lib.rbac

import data.writ.lib.http

# METADATA
# description: Roles that a caller was granted, those of them that there are.
# custom:
#   example: '"clerk" in rbac.roles(data.shop.rbac, identity.caller)'
roles(model, caller) := {role | some role in model.grants[caller]; model.roles[role]}

# METADATA
# description: Permissions of all roles of a caller.
# custom:
#   example: '"orders:read" in rbac.permissions(data.shop.rbac, identity.caller)'
permissions(model, caller) := {permission |
	some role in roles(model, caller)
	some permission in model.roles[role]
}

# METADATA
# description: Holds where a role of the caller has the permission.
# custom:
#   example: 'rbac.may(data.shop.rbac, identity.caller, "orders:read")'
may(model, caller, permission) if permission in permissions(model, caller)

# METADATA
# description: |
#   Permissions that a request needs, by the routes that it fits: an object of `to`, `method` and `path`, a list of steps.
# custom:
#   example: 'rbac.needed(data.shop.rbac, edges.request("shop.example")) == {"orders:read"}'
needed(model, request) := {route.permission |
	some route in model.routes
	route.method == request.method
	object.get(route, "to", request.to) == request.to
	http.matches(route.path, request.path)
}

# METADATA
# description: Holds where the caller, `request.from`, has every permission that its request needs, and it needs one at least.
# custom:
#   example: 'rbac.allows(data.shop.rbac, edges.request("shop.example"))'
allows(model, request) if {
	wanted := needed(model, request)
	count(wanted) > 0
	had := permissions(model, request.from)
	every permission in wanted {
		permission in had
	}
}
