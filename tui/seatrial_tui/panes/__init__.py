"""The panes of the dashboard, each in a folder of its own."""
