# METADATA
# title: Nobody may do anything
# description: |
#   The policy to begin with: it refuses every request, and says who asked for what. Put a rule `allowed if …` below the
#   default for each thing that may be, and a test beside it in authz_test.rego.
package writ.authz

import data.writ.lib.http
import data.writ.lib.identity
import data.writ.lib.result as response

# METADATA
# entrypoint: true
# description: What the proxy asks for each request.
result := response.answer(allowed, reasons) # writ: allow allow-unidentified

default allowed := false

reasons contains "the caller has no verified identity" if not identity.caller

reasons contains $"{identity.caller} may not {http.method} {http.shown(http.steps)}: nothing is allowed here" if {
	identity.caller
	not allowed
}
