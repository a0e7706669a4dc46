"""Every drawing."""
