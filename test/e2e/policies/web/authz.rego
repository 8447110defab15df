package web

# METADATA
# entrypoint: true
result := {"allowed": allowed, "reasons": reasons}

default allowed := false

allowed if {
	input.source_principal == "spiffe://e2e.example/client"
	input.attributes.request.http.method == "GET"
	input.parsed_path[0] == "items"
}

reasons := ["only the client may read items"] if not allowed

else := []
