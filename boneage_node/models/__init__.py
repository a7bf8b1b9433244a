"""Models as folders: weights, manifest, model card."""
