# METADATA
# title: Edges
# description: |
#   Allows by a list of edges, each of `from`, `to`, `method` and `path`: who may call whom with what. `from` and `to` are
#   names within a trust domain, and a path is a list of steps or a text, as `http.matches` reads it. `writ policy suggest`
#   writes such a list from what was really used.
package writ.lib.edges

import data.writ.lib.http
import data.writ.lib.identity

# METADATA
# description: The request as edges see it; undefined where caller or callee is of another trust domain.
# custom:
#   example: 'edges.request("bank.example")'
request(domain) := {
	"from": identity.name(identity.caller, domain),
	"to": identity.name(identity.callee, domain),
	"method": http.method,
	"path": http.steps,
}

# METADATA
# description: Holds where some edge allows the request.
# custom:
#   example: 'edges.allows(data.bank.edges, edges.request("bank.example"))'
allows(list, asked) if {
	some edge in list
	edge.from == asked.from
	edge.to == asked.to
	edge.method == asked.method
	http.matches(edge.path, asked.path)
}

# METADATA
# description: |
#   Why a request is not allowed, in plain words. The path is shown as the first pattern of the callee's that it fits, so
#   that a reason names no customer's account.
# custom:
#   example: 'edges.reason(data.bank.edges, "bank.example")'
reason(_, _) := "the caller has no verified identity" if not identity.caller

reason(_, domain) := $"{identity.caller} is not of {domain}" if {
	identity.caller
	not identity.in_trust_domain(identity.caller, domain)
}

reason(list, domain) := $"{asked.from} may not {asked.method} {shown(list, asked)} at {asked.to}: no edge allows it" if {
	asked := request(domain)
	not allows(list, asked)
}

shown(list, asked) := http.shown(http.pattern_steps(min(patterns))) if {
	patterns := {edge.path |
		some edge in list
		edge.to == asked.to
		http.matches(edge.path, asked.path)
	}
	count(patterns) > 0
} else := http.shown(asked.path)
