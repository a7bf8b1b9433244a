"""How well a model reads: readings, strata, tables, plots, a page."""
