"""Plug-ins that read the world, and the machinery that finds them and runs each in a process of its own."""
