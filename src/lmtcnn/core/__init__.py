"""The ground that every room stands on: errors, files, parameters, tables and records between stages."""
