"""The directories worth logging: how big, how they grow, what just changed in them."""
