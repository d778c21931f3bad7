"""What a configuration needs of memory, before it runs."""
