"""What goes on after a promotion, one workflow for each command."""
