# METADATA
# title: Who may call whom
# description: |
#   Denies by default. What is allowed stands in data.json, one line for each edge: a caller, the workload it calls, a
#   method, and the steps of a path; a step in braces stands for any one. `writ policy suggest` writes the lines from what
#   was really used, and lists those that nobody needs. Every workload may ask another whether it lives.
package writ.authz

import data.writ.lib.edges
import data.writ.lib.http
import data.writ.lib.result as response

# METADATA
# entrypoint: true
# description: What the proxy asks for each request.
result := response.answer(allowed, reasons)

default allowed := false

allowed if edges.allows(data.mesh.edges, asked)

allowed if health_check

reasons contains edges.reason(data.mesh.edges, data.mesh.trust_domain) if not allowed

asked := edges.request(data.mesh.trust_domain)

health_check if {
	asked.from
	http.method == "GET"
	http.at("/healthz")
}
