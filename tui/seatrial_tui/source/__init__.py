"""Where the dashboard gets what it shows: a run directory, read and folded. Nothing here knows a screen."""
