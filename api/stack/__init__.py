"""Everything Ristourne needs, running on this machine: what `make up` and the tests stand on."""
