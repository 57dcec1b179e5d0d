"""The server under test: its process, what it says of itself, what it costs."""
