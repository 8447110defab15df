# Transport is TLS 1.2 or newer with approved ciphers.
package writ.checks.m03

import data.writ.checks.lib

bad := input.facts.transport.weak

silent := input.facts.transport.silent

total := bad + input.facts.transport.strong

unsaid := {
	"verdict": "not-observable",
	"finding": sprintf("%s did not say with which TLS versions and ciphers: they come from before proxies said so.", [lib.amount(silent, "run")]),
}

base := lib.answer({
	"fails": bad > 0,
	"empty": total == 0,
	"good": sprintf("%s could agree on nothing but approved TLS; %d of them on TLS 1.3 alone.", [lib.amount(total, "run"), input.facts.transport.only13]),
	"failed": sprintf("%s could agree on a version or cipher that is not approved.", [lib.amount(bad, "run")]),
	"nothing": "No proxy recorded anything.",
	"numerator": {"value": bad, "of": "runs that could agree on weak TLS"},
	"denominator": {"value": total, "of": "runs of proxies that say what they can agree on"},
	"threshold": "0",
	"exclusions": lib.told([sprintf("%s without a word on TLS", [lib.amount(silent, "run")])]),
	"broken": ["transport.weak"],
	"kept": ["transport.strong"],
})

default unsure := false

unsure if {
	bad == 0
	silent > 0
}

# METADATA
# entrypoint: true
result := object.union(base, unsaid) if unsure

result := base if not unsure
