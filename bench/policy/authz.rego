# METADATA
# title: What every proxy of the comparison asks
# description: Method, path prefix, and a caller that stands last in a list of 103.
package bench.authz

# METADATA
# entrypoint: true
default allow := false

allow if {
	input.attributes.request.http.method in {"GET", "POST"}
	startswith(input.attributes.request.http.path, "/orders/")
	input.attributes.source.principal in data.bench.callers
}
