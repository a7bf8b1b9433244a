"""Labelled radiographs and annotations, to train with and to measure on."""
