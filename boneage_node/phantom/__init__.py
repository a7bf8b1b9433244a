"""Drawn hand radiographs of any age and sex, with their truth, as arrays."""

from .hand import PhantomHand, draw_hand

__all__ = ["PhantomHand", "draw_hand"]
