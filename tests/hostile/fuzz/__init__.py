"""Bounded fuzzers: hostile input by a seed, and a judge of how the command ended. ``make hostile`` runs them."""
