# METADATA
# title: What is asked
# description: |
#   Methods, paths, headers and query of the request. A record leaves headers and query out unless the binding keeps them.
package writ.lib.http

# METADATA
# description: Method of the request, as it was sent.
# custom:
#   example: 'http.method == "GET"'
method := input.attributes.request.http.method

# METADATA
# description: Steps of the path, decoded once.
# custom:
#   example: 'http.steps == ["orders", "17"]'
steps := input.parsed_path

# METADATA
# description: Holds for the methods that change nothing, GET, HEAD and OPTIONS (RFC 9110 section 9.2.1).
# custom:
#   example: 'http.reads'
reads if method in {"GET", "HEAD", "OPTIONS"}

# METADATA
# description: Holds for the methods that change something, POST, PUT, PATCH and DELETE. Other methods neither read nor write.
# custom:
#   example: 'http.writes'
writes if method in {"POST", "PUT", "PATCH", "DELETE"}

# METADATA
# description: Holds for the methods that may be sent twice with the same effect (RFC 9110 section 9.2.2).
# custom:
#   example: 'http.idempotent'
idempotent if reads

idempotent if method in {"PUT", "DELETE"}

# METADATA
# description: Holds where the path of the request fits a pattern.
# custom:
#   example: 'http.at("/orders/{id}")'
at(pattern) if matches(pattern, steps)

# METADATA
# description: |
#   Holds where steps fit a pattern, which is a text or a list of steps. A step in braces stands for any one step, and
#   `**` at the end for one or more. Neither stands for an empty step, nor for one that an upstream might read as two or
#   as a way out.
# custom:
#   example: 'http.matches(["accounts", "{id}", "**"], http.steps)'
matches(pattern, given) if {
	wanted := pattern_steps(pattern)
	count(wanted) == count(given)
	every i, step in wanted {
		step_matches(step, given[i])
	}
}

matches(pattern, given) if {
	wanted := pattern_steps(pattern)
	last := count(wanted) - 1
	wanted[last] == "**"
	count(given) > last
	every i, step in array.slice(wanted, 0, last) {
		step_matches(step, given[i])
	}
	every step in array.slice(given, last, count(given)) {
		one_step(step)
	}
}

pattern_steps(pattern) := pattern if is_array(pattern)

pattern_steps(pattern) := split(substring(pattern, 1, -1), "/") if startswith(pattern, "/")

step_matches(wanted, given) if {
	wanted == given
	wanted != "**"
}

step_matches(wanted, given) if {
	startswith(wanted, "{")
	one_step(given)
}

one_step(given) if {
	not given in {"", ".", ".."}
	not contains(given, "/")
	not contains(given, "\\")
}

# METADATA
# description: A path as reasons show it.
# custom:
#   example: 'http.shown(["orders", "{id}"]) == "/orders/{id}"'
shown(given) := concat("", ["/", concat("/", given)])

# METADATA
# description: |
#   Value of a header, by a name in any case. A header that was sent more than once is one value, with commas. Which header a
#   policy reads by this nobody can follow, so `writ policy impact` takes it for all of them, unless `--assume-kept headers`
#   says more; `input.attributes.request.http.headers["x-role"]` can be followed.
# custom:
#   example: 'http.header("X-Role") == "clerk"'
header(name) := input.attributes.request.http.headers[lower(name)]

# METADATA
# description: First value of a header that holds a list.
# custom:
#   example: 'http.first_value("accept") == "text/html"'
first_value(name) := trim_space(split(header(name), ",")[0])

# METADATA
# description: |
#   Value of a query member that is given once. Undefined where it is given twice, for no one can tell which of them
#   the workload reads.
# custom:
#   example: 'http.query("page") == "2"'
query(name) := value if [value] = input.parsed_query[name]

# METADATA
# description: All values of a query member, in order.
# custom:
#   example: 'http.query_values("tag") == ["a", "b"]'
query_values(name) := input.parsed_query[name]

# METADATA
# description: Media type of the body in lower case, without its parameters.
# custom:
#   example: 'http.content_type == "application/json"'
content_type := lower(trim_space(split(header("content-type"), ";")[0]))
