"""A growing log of any size, by lines: found, filtered and kept in bounded memory. Knows no screen."""
