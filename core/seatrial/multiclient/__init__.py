"""Many clients behind the interfaces of one: who acts is taken from the context."""
