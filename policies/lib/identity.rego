# METADATA
# title: Who calls, and who is called
# description: Reads SPIFFE ids. What is no SPIFFE id of a workload has no parts, and matches nothing.
package writ.lib.identity

# METADATA
# description: SPIFFE id that the caller proved; undefined where it proved none.
# custom:
#   example: 'identity.caller == "spiffe://bank.example/storefront"'
caller := id if {
	id := input.source_principal
	parsed(id)
}

# METADATA
# description: SPIFFE id of the workload that is called.
# custom:
#   example: 'identity.callee == "spiffe://bank.example/orders"'
callee := id if {
	id := input.writ.workload
	parsed(id)
}

# METADATA
# description: Trust domain and steps of an id.
# custom:
#   example: 'identity.parsed(identity.caller).steps == ["ns", "shop", "sa", "web"]'
parsed(id) := {"trust_domain": parts[2], "steps": steps} if {
	regex.match(`^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$`, id)
	count(id) <= 2048
	parts := split(id, "/")
	steps := array.slice(parts, 3, count(parts))
	every step in steps {
		not step in {".", ".."}
	}
}

# METADATA
# description: Trust domain of an id.
# custom:
#   example: 'identity.trust_domain(identity.caller) == "bank.example"'
trust_domain(id) := parsed(id).trust_domain

# METADATA
# description: Holds for an id of that trust domain, and for none of a domain whose name only begins alike.
# custom:
#   example: 'identity.in_trust_domain(identity.caller, "bank.example")'
in_trust_domain(id, domain) if trust_domain(id) == domain

# METADATA
# description: Name of a workload within its trust domain, without the leading slash.
# custom:
#   example: 'identity.name(identity.caller, "bank.example") == "storefront"'
name(id, domain) := concat("/", parts.steps) if {
	parts := parsed(id)
	parts.trust_domain == domain
}

# METADATA
# description: Namespace and service account of an id as Kubernetes meshes write it, `/ns/NAMESPACE/sa/ACCOUNT`.
# custom:
#   example: 'identity.kubernetes(identity.caller).namespace == "shop"'
kubernetes(id) := {"namespace": namespace, "service_account": account} if {
	["ns", namespace, "sa", account] = parsed(id).steps
}

# METADATA
# description: |
#   Holds for an id that fits a pattern: a whole id in which `*` stands for one step, and `**` at the end for one or more.
# custom:
#   example: 'identity.matches(identity.caller, "spiffe://bank.example/ns/shop/sa/*")'
matches(id, pattern) if {
	given := parsed(id)
	[domain, steps] := pattern_of(pattern)
	given.trust_domain == domain
	count(given.steps) == count(steps)
	every i, step in steps {
		step in {given.steps[i], "*"}
	}
}

matches(id, pattern) if {
	given := parsed(id)
	[domain, steps] := pattern_of(pattern)
	given.trust_domain == domain
	last := count(steps) - 1
	steps[last] == "**"
	count(given.steps) > last
	every i, step in array.slice(steps, 0, last) {
		step in {given.steps[i], "*"}
	}
}

pattern_of(pattern) := [parts[2], array.slice(parts, 3, count(parts))] if {
	startswith(pattern, "spiffe://")
	parts := split(pattern, "/")
}
