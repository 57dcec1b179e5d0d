"""Widgets made of lines: they paint the rows that changed and nothing else."""
