# METADATA
# title: Who may call whom in the bank
# description: |
#   Denies by default. What is allowed stands as data, one line for each edge, in data.json: a caller, the workload it
#   calls, a method, and the steps of a path. A step in braces stands for any one step.
package writ.authz

# METADATA
# entrypoint: true
# description: What the proxy asks for each request.
result := {"allowed": allowed, "reasons": [why | why := reason]}

default allowed := false

allowed if health_check

allowed if some_edge_allows

# Why not, in plain words; undefined where the request is allowed. It explains, and decides nothing.
reason := "the caller has no verified identity" if {
	not input.source_principal
} else := $"{input.source_principal} is not of {data.bank.trust_domain}" if {
	not caller
} else := $"{caller} may not {method} {asked} at {callee}: no edge allows it" if {
	not allowed
}

some_edge_allows if {
	some edge in data.bank.edges
	edge.from == caller
	edge.to == callee
	edge.method == method
	matches(edge.path)
}

# Every workload of the mesh may see whether another one lives.
health_check if {
	caller
	method == "GET"
	input.parsed_path == ["healthz"]
}

method := input.attributes.request.http.method

mesh := concat("", ["spiffe://", data.bank.trust_domain, "/"])

# Short names of who calls and who is called. Undefined for names of another trust domain.
caller := trim_prefix(input.source_principal, mesh) if startswith(input.source_principal, mesh)

callee := trim_prefix(input.writ.workload, mesh) if startswith(input.writ.workload, mesh)

# The path as a reason shows it: with the braces of a known pattern, so that it names no customer's account.
asked := shown(pattern) if {
	some pattern in patterns
	not pattern in worse
} else := shown(input.parsed_path)

patterns contains edge.path if {
	some edge in data.bank.edges
	edge.to == callee
	matches(edge.path)
}

# Where several patterns match, the first in order is shown.
worse contains pattern if {
	some pattern in patterns
	some other in patterns
	other < pattern
}

shown(steps) := concat("", ["/", concat("/", steps)])

matches(pattern) if {
	count(pattern) == count(input.parsed_path)
	every i, step in pattern {
		matches_step(step, input.parsed_path[i])
	}
}

matches_step(step, given) if step == given

# A step in braces matches no empty step, and none that an upstream might read as two or as a way out.
matches_step(step, given) if {
	startswith(step, "{")
	not given in {"", ".", ".."}
	not contains(given, "/")
	not contains(given, "\\")
}
