"""New recordings to classes, by one set of rules for files and for tables of stops."""
