"""What a served model is made of."""
