# METADATA
# title: One regular expression
package bench.regex

# METADATA
# entrypoint: true
default allow := false

allow if {
	input.attributes.request.http.method == "GET"
	regex.match(`^/(orders|accounts)/[0-9]{1,12}(/items/[a-z0-9-]+)?$`, input.attributes.request.http.path)
}
