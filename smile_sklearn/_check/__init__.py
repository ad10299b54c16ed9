"""The steps of the independent checker; :mod:`smile_sklearn.check` is the way in.

Nothing here comes from ``verification/``: the bounds are derived a second time, from DESIGN's lemmas,
in exact arithmetic. What is shared with the code under test is the definition of the model alone: the
snapshot with its digest, and the domain with its float map to unit coordinates.
"""
