# METADATA
# title: Emergencies, with a trace
# description: |
#   An edge list as ever, and for emergencies grants: whom somebody else has allowed to call a workload for a few hours. Who
#   uses one must give a reason in the header x-break-glass-reason. Each such decision says BREAK-GLASS among its reasons,
#   so that the log finds them all; keep the header too, with `record: { headers: [x-break-glass-reason] }` in the binding.
package writ.authz

import data.writ.lib.clock
import data.writ.lib.edges
import data.writ.lib.http
import data.writ.lib.result as response

# METADATA
# entrypoint: true
# description: What the proxy asks for each request.
result := response.answer(allowed, reasons)

default allowed := false

allowed if by_edge

allowed if count(used) > 0

by_edge if edges.allows(data.mesh.edges, asked)

asked := edges.request(data.mesh.trust_domain)

# Grants that hold now, for this caller and workload, and that the caller did not approve itself.
open_grants contains grant if {
	some grant in data.mesh.grants
	grant.who == asked.from
	grant.to == asked.to
	grant.approved_by != grant.who
	clock.boxed(grant.from, grant.until, data.mesh.longest_hours)
}

# What is allowed anyway needs no grant, and uses none.
used contains grant if {
	not by_edge
	some grant in open_grants
	why
}

# A reason is a sentence, not a dot.
why := text if {
	text := trim_space(http.header("x-break-glass-reason"))
	count(text) >= 10
}

reasons contains $"BREAK-GLASS {grant.id}: {substring(why, 0, 120)}; approved by {grant.approved_by} until {grant.until}" if {
	some grant in used
}

reasons contains $"BREAK-GLASS {grant.id} is open, but x-break-glass-reason gives no reason" if {
	not by_edge
	some grant in open_grants
	not why
}

reasons contains edges.reason(data.mesh.edges, data.mesh.trust_domain) if not allowed
