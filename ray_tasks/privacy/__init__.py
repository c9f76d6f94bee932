"""What must not pass: personal data on its way into a prompt, protected traits on their way out."""
