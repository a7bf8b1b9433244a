"""Plain values that cross between rooms; standard library only."""
