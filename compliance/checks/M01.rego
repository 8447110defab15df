# Requests arrive over mutual TLS.
package writ.checks.m01

import data.writ.checks.lib

proven := input.tallies.mutual.count

others := input.tallies.other.count

total := proven + others

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": (100 * proven) < (input.parameters.share * total),
	"empty": total == 0,
	"good": sprintf("%d of %d requests came over mutual TLS.", [proven, total]),
	"failed": sprintf("%s without a proven client certificate.", [lib.amount(others, "request")]),
	"nothing": "No request was recorded at an inbound listener.",
	"numerator": {"value": proven, "of": "requests over mutual TLS"},
	"denominator": {"value": total, "of": "requests at inbound listeners"},
	"threshold": sprintf("%v %%", [input.parameters.share]),
	"exclusions": lib.told(array.concat(
		[
			sprintf("%s refused because the caller proved no name", [lib.amount(input.tallies.refused.count, "request")]),
			sprintf("%s of a handshake or before a request", [lib.amount(input.facts.traffic.refusals, "refusal")]),
		],
		lib.aside,
	)),
	"broken": ["other"],
	"kept": ["mutual"],
})
