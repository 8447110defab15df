# Recording did not stop without a reason.
package writ.checks.m18

import data.writ.checks.lib

f := input.facts.interruptions

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": f.unexplained > 0,
	"empty": (f.starts + f.interruptions) == 0,
	"good": sprintf("%s and %s; each interruption has its cause on record.", [lib.amount(f.starts, "start"), lib.amount(f.stops, "stop")]),
	"failed": sprintf("%s without a cause on record.", [lib.amount(f.unexplained, "interruption")]),
	"nothing": "No producer started or was interrupted in the time.",
	"numerator": {"value": f.unexplained, "of": "interruptions without a cause"},
	"denominator": {"value": f.interruptions, "of": "interruptions"},
	"threshold": "0",
	"exclusions": array.concat(
		lib.told([
			sprintf("%s with a cause: a later run that tells of a crash, or a spool that said why", [lib.amount(f.explained, "interruption")]),
			sprintf("%s without records because a spool took none", [lib.amount(f.suppressed, "period")]),
		]),
		lib.whole("interruptions"),
	),
	"broken": ["interruptions.unexplained"],
	"kept": ["interruptions.starts", "interruptions.explained"],
})
