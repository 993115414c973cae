"""What inference can skip, one kind of work a module."""
