"""The pair of copies of a network as a mixed-integer model: arrays only, no solver."""
