"""The switch of reads and writes from one store to the other, and the way back."""
