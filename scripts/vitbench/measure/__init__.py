"""One repeat of one cell: the process that runs it, the one that watches it, and the probes of the machine."""
