"""Seatrial: a robustness tester for backup repository servers."""
