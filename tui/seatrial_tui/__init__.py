"""The dashboard: a Textual app over a run directory, imported only when a screen is wanted."""
