"""From a configuration to what is to be measured: the grid, what it will cost, and whether this machine can do it."""
