"""The page `report.html`: one file that holds everything, charts that fit any width, drawn from the tables."""
