"""Handlers for AWS Lambda: the same work as the commands, for as long as an invocation may take."""
