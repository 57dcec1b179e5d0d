"""The embedded target's server: the restic REST protocol over HTTPS, for clients and for an administrator.

The way of one request: ``listener`` (accept, one thread per connection) -> ``wire`` (TLS, h11, bodies) -> ``service`` (who, what, may they)
-> ``store`` (blobs) -> answer -> ``log``. ``peers`` knows all connections and cuts off those that keep us waiting.
"""
