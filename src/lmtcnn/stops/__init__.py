"""From positions to stop tables: bouts, flicker, quality, and what is still good."""
