"""Models as data: packing them."""
