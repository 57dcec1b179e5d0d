"""The run at a glance: where it stands, what has come out so far, how fast it goes."""
