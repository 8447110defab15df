package writ.lib.http_test

import data.writ.lib.http

asked(method) := {"attributes": {"request": {"http": {"method": method}}}}

headers(fields) := {"attributes": {"request": {"http": {"headers": fields}}}}

test_methods_read_or_write_or_neither if {
	every method in ["GET", "HEAD", "OPTIONS"] {
		http.reads with input as asked(method)
		not http.writes with input as asked(method)
	}
	every method in ["POST", "PUT", "PATCH", "DELETE"] {
		http.writes with input as asked(method)
		not http.reads with input as asked(method)
	}
	every method in ["get", "TRACE", "PROPFIND", ""] {
		not http.reads with input as asked(method)
		not http.writes with input as asked(method)
	}
	not http.reads with input as {}
	not http.writes with input as {}
}

test_idempotent_is_what_may_be_sent_twice if {
	every method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
		http.idempotent with input as asked(method)
	}
	not http.idempotent with input as asked("POST")
	not http.idempotent with input as asked("PATCH")
}

test_a_pattern_is_a_text_or_steps if {
	http.at("/orders/{id}") with input as {"parsed_path": ["orders", "17"]}
	http.at(["orders", "{id}"]) with input as {"parsed_path": ["orders", "17"]}
	http.at("/") with input as {"parsed_path": [""]}
	not http.at("/orders/{id}") with input as {"parsed_path": ["orders"]}
	not http.at("orders/{id}") with input as {"parsed_path": ["orders", "17"]}
	not http.at("/orders/{id}") with input as {}
}

test_a_step_in_braces_is_one_step_that_is_none_to_an_upstream if {
	http.matches("/orders/{}", ["orders", "a b"])
	every step in ["", ".", "..", "1/2", `1\2`] {
		not http.matches("/orders/{id}", ["orders", step])
		not http.matches("/orders/**", ["orders", step])
		not http.matches("/orders/**", ["orders", "1", step])
	}
	not http.matches("/orders/{id}", ["orders", "1", "items"])
	not http.matches("/orders/{id}", ["accounts", "1"])
}

test_two_stars_at_the_end_are_one_step_or_more if {
	http.matches("/orders/**", ["orders", "1"])
	http.matches("/orders/{id}/**", ["orders", "1", "items", "2"])
	http.matches("/**", ["orders"])
	not http.matches("/orders/**", ["orders"])
	not http.matches("/orders/**", ["accounts", "1"])
	not http.matches("/**/items", ["orders", "items"])
	not http.matches("/**/items", ["**", "items"])
	not http.matches("/**", [""])
}

test_a_path_is_shown_with_slashes if http.shown(["orders", "{id}"]) == "/orders/{id}"

test_a_header_is_found_in_any_case if {
	sent := headers({"x-role": "clerk", "accept": "text/html , text/plain"})
	http.header("X-Role") == "clerk" with input as sent
	not http.header("x-other") with input as sent
	http.first_value("Accept") == "text/html" with input as sent
	http.first_value("x-role") == "clerk" with input as sent
	not http.first_value("x-other") with input as sent
}

test_a_query_member_that_is_given_twice_is_none if {
	sent := {"parsed_query": {"page": ["2"], "tag": ["a", "b"]}}
	http.query("page") == "2" with input as sent
	not http.query("tag") with input as sent
	not http.query("other") with input as sent
	http.query_values("tag") == ["a", "b"] with input as sent
}

test_a_content_type_is_without_parameters if {
	http.content_type == "application/json" with input as headers({"content-type": "Application/JSON; charset=utf-8"})
	http.content_type == "text/plain" with input as headers({"content-type": "text/plain"})
	not http.content_type with input as headers({})
}
