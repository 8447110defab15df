# Every certificate in traffic was issued on record.
package writ.checks.m05

import data.writ.checks.lib

f := input.facts.certificates

# METADATA
# entrypoint: true
result := lib.answer({
	"fails": f.unknown > 0,
	"empty": f.seen == 0,
	"good": sprintf("All %d certificates that were seen are in the issuance log.", [f.seen]),
	"failed": sprintf("%s not in the issuance log, in %s.", [lib.amount(f.unknown, "certificate"), lib.amount(f.unknownUses, "use")]),
	"nothing": "No certificate was seen in use.",
	"numerator": {"value": f.seen - f.unknown, "of": "certificates with an issuance record"},
	"denominator": {"value": f.seen, "of": "certificates seen"},
	"threshold": "100 %",
	"exclusions": lib.whole("certificates"),
	"broken": ["certificates.unissued"],
	"kept": ["certificates.issued"],
})
