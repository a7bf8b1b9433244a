"""Training of a model: rasters, augmentation, fitting, mining, assembly."""
