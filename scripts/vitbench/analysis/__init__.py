"""From the runs table to the tables that everything is drawn from."""
