"""The sentences of the tool: what a command does, in the order in which it does it."""
