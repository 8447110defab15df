# METADATA
# title: Look, and touch nothing
# description: |
#   Every workload of the trust domain may read everything, with GET, HEAD and OPTIONS, but what data.json keeps private.
#   Nobody may write. For a mesh in which a policy is just being found out, or a copy that nobody is to change.
package writ.authz

import data.writ.lib.http
import data.writ.lib.identity
import data.writ.lib.result as response

# METADATA
# entrypoint: true
# description: What the proxy asks for each request.
result := response.answer(allowed, reasons)

default allowed := false

allowed if {
	in_mesh
	http.reads
	is_array(data.mesh.private)
	not private
}

in_mesh if identity.in_trust_domain(identity.caller, data.mesh.trust_domain)

# A path that some upstream reads as another one is kept private too.
private if {
	some pattern in data.mesh.private
	http.at(pattern)
}

# So is one that only ends in a slash more.
private if {
	last := count(http.steps) - 1
	http.steps[last] == ""
	some pattern in data.mesh.private
	http.matches(pattern, array.slice(http.steps, 0, last))
}

private if {
	some i, step in http.steps
	unclear(i, step)
}

unclear(_, step) if step in {".", ".."}

unclear(_, step) if contains(step, "/")

unclear(_, step) if contains(step, "\\")

unclear(i, "") if i < count(http.steps) - 1

reasons contains $"the caller has no verified identity of {data.mesh.trust_domain}" if not in_mesh

reasons contains $"nobody may {http.method} here: this may only be read" if not http.reads

reasons contains "this is private" if private
