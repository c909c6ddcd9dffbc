"""The studio's pages in the cells of a notebook: each asks the kernel, and Python reads and sets what it shows."""
