"""The caches: of each client, and of the server where it has one."""
