"""What users did, as arrays: histories, windows of time, blocks of users, and how lists are judged."""
