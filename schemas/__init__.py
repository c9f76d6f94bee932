"""The lake's contract: configuration, tables, audits, and the only way in and out of Delta."""
