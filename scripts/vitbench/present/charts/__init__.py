"""The charts: `speedup`, `batch_sweep` and `wall_time` each have one `draw(...)`: tables in, figure out."""
