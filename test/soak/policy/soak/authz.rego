package soak

# METADATA
# entrypoint: true
result := {"allowed": allowed}

default allowed := false

allowed if input.parsed_path[0] == "open"

# Which of the two is open changes with every bundle: so the answer tells which one is in force.
allowed if {
	input.parsed_path[0] == "turn"
	input.parsed_path[1] == data.soak.turn
}

# Opaque connections have no path.
allowed if input.writ.protocol == "tcp"
