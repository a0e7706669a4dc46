"""A study of one's own: the files that it begins with."""
