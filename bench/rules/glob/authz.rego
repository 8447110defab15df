# METADATA
# title: Roles with globs, for callers of a network
package bench.glob

# METADATA
# entrypoint: true
default allow := false

allow if {
	net.cidr_contains("127.0.0.0/8", input.attributes.source.address.socketAddress.address)
	some role in data.roles[input.source_principal]
	some grant in data.grants[role]
	grant.method == input.attributes.request.http.method
	glob.match(grant.pattern, ["/"], input.attributes.request.http.path)
}
