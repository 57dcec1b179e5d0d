"""The kopia target: the ``kopia`` program as repository server, as its administration and as every client."""
