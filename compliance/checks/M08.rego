# The log is complete.
package writ.checks.m08

import data.writ.checks.lib

f := input.facts.log

lost := (((f.missing + f.contested) + f.suppressed) + f.oneSided) + f.overdue

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": lost > input.parameters.lost,
	"empty": f.records <= f.unattested,
	"good": "Every number is there once, and every chain holds.",
	"failed": concat(", ", lib.told([
		sprintf("%s missing", [lib.amount(f.missing, "record")]),
		sprintf("%s made without a record", [lib.amount(f.suppressed, "decision")]),
		sprintf("%s that one side alone recorded", [lib.amount(f.oneSided, "call")]),
		sprintf("%s contested", [lib.amount(f.contested, "record")]),
		sprintf("%s not covered by a signed head for more than two minutes", [lib.amount(f.overdue, "record")]),
	])),
	"nothing": "No record in the log is covered by a signed head yet.",
	"numerator": {"value": lost, "of": "records missing, contested or unsigned"},
	"denominator": {"value": ((f.records + f.missing) + f.suppressed) + f.oneSided, "of": "records numbered by their producers"},
	"threshold": sprintf("%v", [input.parameters.lost]),
	"exclusions": lib.told([
		sprintf("%s so new that the next signed head was still to come", [lib.amount(f.unattested - f.overdue, "record")]),
		sprintf("%s that a policy's drop rule left out, counted in signed heads", [lib.amount(f.dropped, "decision")]),
		sprintf("%s on the stream that were no record, kept as evidence", [lib.amount(f.strays, "message")]),
		sprintf("%s counted without a source, beyond the quota for strangers", [lib.amount(input.facts.traffic.refusalsUnnamed, "refusal")]),
	]),
	"broken": ["log.incomplete"],
	"kept": ["log.proven"],
})
