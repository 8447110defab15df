# METADATA
# title: Nobody approves what is their own
# description: |
#   Roles as in the starter rbac, with pairs of permissions that no caller may hold both of: who does is refused either. And
#   where a front end acts for people, who approves must be another than who created, as the front end says in the headers
#   x-user and x-created-by. Only the front ends that data.json names are believed; keep both headers in the record.
package writ.authz

import data.writ.lib.edges
import data.writ.lib.http
import data.writ.lib.rbac
import data.writ.lib.result as response

# METADATA
# entrypoint: true
# description: What the proxy asks for each request.
result := response.answer(allowed, reasons)

default allowed := false

allowed if {
	rbac.allows(data.mesh.rbac, asked)
	count(conflicts) == 0
	count(unseparated) == 0
}

asked := edges.request(data.mesh.trust_domain)

needed := rbac.needed(data.mesh.rbac, asked)

# Pairs that the caller holds whole, one of which the request needs.
conflicts contains pair if {
	some pair in data.mesh.exclusive
	count([one | some one in pair; one in needed]) > 0
	every one in pair {
		rbac.may(data.mesh.rbac, asked.from, one)
	}
}

# Approvals of which nobody can tell that they are somebody else's.
unseparated contains permission if {
	some permission in needed
	permission in data.mesh.approvals
	not separated
}

separated if {
	asked.from in data.mesh.front_ends
	approver := person("x-user")
	creator := person("x-created-by")
	approver != creator
}

# One name; a list of them, or none, is nobody's.
person(name) := lower(given) if {
	given := trim_space(http.header(name))
	given != ""
	not contains(given, ",")
}

reasons contains $"{asked.from} holds {concat(" and ", pair)}, which nobody may hold both of" if some pair in conflicts

reasons contains $"{permission} takes another person than the one who created it" if some permission in unseparated

reasons contains $"{asked.from} may not {asked.method} at {asked.to}: no role of its own allows it" if {
	not rbac.allows(data.mesh.rbac, asked)
}

reasons contains "the caller has no verified identity, or one of another trust domain" if not asked
