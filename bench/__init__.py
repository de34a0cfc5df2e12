"""What the application does in a second, measured on the machine at hand."""
