# METADATA
# title: Only while the office is open
# description: |
#   An edge list that holds during opening hours, by zone, weekday and holidays in data.json, and a second one that holds
#   always, for what runs at night. The time is the request's own, so a replay answers as it was answered then.
package writ.authz

import data.writ.lib.clock
import data.writ.lib.edges
import data.writ.lib.result as response

# METADATA
# entrypoint: true
# description: What the proxy asks for each request.
result := response.answer(allowed, reasons)

default allowed := false

allowed if edges.allows(data.mesh.always, asked)

allowed if {
	in_hours
	clock.open(data.mesh.hours)
}

in_hours if edges.allows(data.mesh.edges, asked)

asked := edges.request(data.mesh.trust_domain)

reasons contains edges.reason(array.concat(data.mesh.edges, data.mesh.always), data.mesh.trust_domain) if not allowed

reasons contains $"{asked.from} may {asked.method} at {asked.to} during opening hours only" if {
	in_hours
	not allowed
}
