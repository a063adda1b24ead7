"""Charts, workbook and words, made from tables."""
