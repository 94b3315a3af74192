"""What memcore is compared with: one file for each peer, ``pairs(n)`` in each.

``pairs(n)`` gives, by name, functions that build a `harness.Pair` of size n; ``PACKAGES`` are the
distributions whose versions the report names.
"""
