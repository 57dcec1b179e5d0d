"""The screens beside the dashboard itself."""
