"""What each action cost and how often it went wrong."""
