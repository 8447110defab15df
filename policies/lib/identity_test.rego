package writ.lib.identity_test

import data.writ.lib.identity

web := "spiffe://bank.example/ns/shop/sa/web"

test_an_id_has_a_trust_domain_and_steps if {
	identity.parsed(web) == {"trust_domain": "bank.example", "steps": ["ns", "shop", "sa", "web"]}
	identity.trust_domain(web) == "bank.example"
	identity.parsed("spiffe://bank.example/orders").steps == ["orders"]
}

test_what_is_no_id_of_a_workload_has_none if {
	every text in ["", "orders", "spiffe://bank.example", "spiffe://bank.example/", "spiffe://Bank.example/a", "spiffe://a//b", "spiffe://a/../b", "spiffe://a/./b", "https://a/b", "spiffe://a/b c", 7, null] {
		not identity.parsed(text)
	}
	not identity.parsed(sprintf("spiffe://a/%s", [concat("", [x | some _ in numbers.range(1, 2048); x := "x"])]))
}

test_caller_and_callee_are_of_the_request if {
	identity.caller == web with input as {"source_principal": web}
	not identity.caller with input as {}
	not identity.caller with input as {"source_principal": "web"}
	identity.callee == web with input as {"writ": {"workload": web}}
	not identity.callee with input as {"writ": {"workload": "web"}}
}

test_a_domain_that_only_begins_alike_is_another if {
	identity.in_trust_domain(web, "bank.example")
	not identity.in_trust_domain("spiffe://bank.example.evil/ns/shop/sa/web", "bank.example")
	not identity.in_trust_domain(web, "bank")
}

test_a_name_is_within_its_domain if {
	identity.name(web, "bank.example") == "ns/shop/sa/web"
	not identity.name(web, "shop.example")
}

test_kubernetes_ids_have_namespace_and_account if {
	identity.kubernetes(web) == {"namespace": "shop", "service_account": "web"}
	not identity.kubernetes("spiffe://bank.example/ns/shop/sa/web/more")
	not identity.kubernetes("spiffe://bank.example/namespace/shop/sa/web")
}

test_a_star_is_one_step if {
	identity.matches(web, "spiffe://bank.example/ns/shop/sa/*")
	identity.matches(web, "spiffe://bank.example/ns/*/sa/web")
	identity.matches(web, web)
	not identity.matches(web, "spiffe://bank.example/ns/*/sa")
	not identity.matches(web, "spiffe://bank.example/ns/*")
	not identity.matches(web, "spiffe://bank.example/ns/bank/sa/*")
	not identity.matches(web, "spiffe://*/ns/shop/sa/web")
	not identity.matches(web, "https://bank.example/ns/shop/sa/web")
}

test_two_stars_at_the_end_are_one_step_or_more if {
	identity.matches(web, "spiffe://bank.example/**")
	identity.matches(web, "spiffe://bank.example/ns/shop/**")
	identity.matches(web, "spiffe://bank.example/ns/*/sa/**")
	not identity.matches(web, "spiffe://bank.example/ns/shop/sa/web/**")
	not identity.matches(web, "spiffe://bank.example/**/web")
	not identity.matches(web, "spiffe://other.example/**")
	not identity.matches(web, "spiffe://bank.example/ns/bank/**")
}
