"""The library of vitbench: it measures, compares and presents; nothing in it imports Snakemake."""
