"""What the tools that draw have in common. Standard library only."""
