# METADATA
# title: Roles with prefixes
package bench.role

# METADATA
# entrypoint: true
default allow := false

allow if {
	some role in data.roles[input.source_principal]
	some grant in data.grants[role]
	grant.method == input.attributes.request.http.method
	startswith(input.attributes.request.http.path, grant.prefix)
}
