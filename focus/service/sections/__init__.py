"""The sections of the configuration: the one place where an option is named, described, given a default and a range."""
