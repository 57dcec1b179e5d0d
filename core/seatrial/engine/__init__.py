"""What a client does: the plan it follows, the gate it passes, the actions it takes."""
