# METADATA
# title: Roles and their permissions
# description: |
#   Denies by default. data.json says which permissions a role has, which roles a workload was granted, and which permission
#   a request needs. A request that no route names needs what nobody has. The roles go to the workload in a header.
package writ.authz

import data.writ.lib.edges
import data.writ.lib.http
import data.writ.lib.identity
import data.writ.lib.rbac
import data.writ.lib.result as response

# METADATA
# entrypoint: true
# description: What the proxy asks for each request.
result := response.with_headers(response.allow([]), {"x-writ-roles": roles}) if {
	allowed
} else := response.deny(reasons) # writ: allow allow-unidentified

default allowed := false

allowed if rbac.allows(data.mesh.rbac, asked)

roles := concat(",", sort(rbac.roles(data.mesh.rbac, asked.from)))

asked := edges.request(data.mesh.trust_domain)

reasons contains "the caller has no verified identity" if not identity.caller

reasons contains $"{identity.caller} is not of {data.mesh.trust_domain}" if {
	identity.caller
	not identity.in_trust_domain(identity.caller, data.mesh.trust_domain)
}

reasons contains $"{asked.from} may not {asked.method} at {asked.to}: no role of its own has {permission}" if {
	some permission in rbac.needed(data.mesh.rbac, asked)
	not rbac.may(data.mesh.rbac, asked.from, permission)
}

reasons contains $"nobody may {asked.method} {http.shown(asked.path)} at {asked.to}: no route names it" if {
	count(rbac.needed(data.mesh.rbac, asked)) == 0
}
