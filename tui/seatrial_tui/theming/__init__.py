"""Themes: one TOML file each."""
