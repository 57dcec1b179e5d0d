"""The server's log, as it grows."""
