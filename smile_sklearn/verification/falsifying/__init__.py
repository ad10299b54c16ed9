"""The search for pairs: exact moves inside Q, gradients of V, and the model itself."""
