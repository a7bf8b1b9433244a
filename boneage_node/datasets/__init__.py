"""Labelled radiographs to learn from and to measure on."""
