"""The world of the tests: policies, pods, engines and an API server, as far as the operator sees them."""
