"""What was measured, on disk: records and their schemas, where they lie, and which may stand beside each other."""
