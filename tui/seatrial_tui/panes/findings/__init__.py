"""What went wrong, grouped by defect."""
