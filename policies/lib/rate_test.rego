package writ.lib.rate_test

import data.writ.lib.rate

rates := {
	"classes": {"gold": {"requests": 1000, "seconds": 60}, "bronze": {"requests": 10, "seconds": 60}},
	"callers": {"spiffe://shop.example/web": "gold", "spiffe://shop.example/odd": "platinum"},
	"default": "bronze",
}

test_a_caller_has_its_class_and_others_the_default if {
	rate.class(rates, "spiffe://shop.example/web") == "gold"
	rate.limit(rates, "spiffe://shop.example/web") == {"requests": 1000, "seconds": 60}
	rate.class(rates, "spiffe://shop.example/batch") == "bronze"
}

test_without_default_others_have_none if {
	strict := object.remove(rates, ["default"])
	rate.class(strict, "spiffe://shop.example/web") == "gold"
	not rate.class(strict, "spiffe://shop.example/batch")
	not rate.headers(strict, "spiffe://shop.example/batch")
}

test_a_class_that_is_not_there_is_none if {
	not rate.class(rates, "spiffe://shop.example/odd")
	not rate.limit(rates, "spiffe://shop.example/odd")
}

test_headers_say_class_and_quota if {
	rate.headers(rates, "spiffe://shop.example/batch") == {"x-rate-class": "bronze", "x-rate-limit": "10;w=60"}
}
