# METADATA
# title: Who may call the edge function
# description: Denies by default. Only the shop may greet, and only by reading or posting.
package hello

# METADATA
# entrypoint: true
result := {"allowed": allowed, "reasons": reasons}

default allowed := false

allowed if {
	input.source_principal == "spiffe://edge.example/shop"
	input.attributes.request.http.method in {"GET", "POST"}
	input.parsed_path[0] == "greetings"
}

reasons := [] if {
	allowed
} else := ["only the shop may read and post greetings"]
