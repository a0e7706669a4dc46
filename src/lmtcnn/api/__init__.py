"""The library: plain frames and arrays in and out, by the same functions as the pipeline's; see docs/library.md."""
