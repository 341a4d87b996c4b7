"""A store in one SQLite file, for any number of processes of one machine: what runs when nothing is configured."""
