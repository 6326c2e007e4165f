"""The dashboard: how its files are served, and what its modules do without a browser."""
