# No personal data stands in clear.
package writ.checks.m22

import data.writ.checks.lib

bad := input.tallies.clear.count

default told := false

told if "personal" in input.declared

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": bad > 0,
	"empty": lacking,
	"good": "No declared member and nothing that reads as a card number stands in clear.",
	"failed": sprintf("%s with personal data in clear.", [lib.amount(bad, "record")]),
	"nothing": nothing,
	"numerator": {"value": bad, "of": "records with personal data in clear"},
	"denominator": {"value": bad + input.tallies.clean.count, "of": "records of decisions"},
	"threshold": "0",
	"exclusions": ["One number in ten of a card's length has its check digit by chance"],
	"broken": ["clear"],
	"kept": ["clean"],
})

default lacking := false

lacking if not told

lacking if input.tallies.clean.count == 0

nothing := "Nobody declared which members are personal; card numbers alone were looked for, and there were none." if not told

nothing := "No decision was recorded." if told
