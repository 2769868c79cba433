"""Small networks to start from."""
