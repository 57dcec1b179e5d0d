"""All clients, one line each."""
