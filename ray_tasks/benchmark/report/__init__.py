"""The HTML page of a ranking benchmark."""
