package drill

# METADATA
# entrypoint: true
result := {"allowed": allowed}

default allowed := false

# Our own caller, and a visitor of a federated domain.
allowed if input.source_principal in {"spiffe://bank.example/storefront", "spiffe://other.example/visitor"}
