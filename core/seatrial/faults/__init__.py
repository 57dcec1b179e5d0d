"""Disturbances injected on purpose: here, damage to a repository at rest."""
