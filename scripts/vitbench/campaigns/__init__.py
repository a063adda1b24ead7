"""Finished sets of records: packed, and checked by anybody."""
