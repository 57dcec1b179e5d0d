"""What others use to test with seatrial: the pytest plugin."""
