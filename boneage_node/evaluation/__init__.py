"""Measuring how well a model reads: readings, figures, tables, plots, a page, calibration."""
