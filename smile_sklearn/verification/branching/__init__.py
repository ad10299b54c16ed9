"""Branch and bound from the inside: regions of pairs, linear bounds on them, what is cut, the search."""
