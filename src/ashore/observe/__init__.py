"""What happens, as typed events: the library emits, never prints."""
