"""From stop tables to stacks of histograms, and what a reader should know of the recordings."""
