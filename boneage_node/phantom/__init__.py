"""Drawn hand radiographs of any age and sex, with their truth, as arrays."""

from .hand import PhantomHand, draw_hand
from .series import draw_series

__all__ = ["PhantomHand", "draw_hand", "draw_series"]
