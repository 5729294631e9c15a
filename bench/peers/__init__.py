"""One module for each library: how its users would write it. ``driver`` runs all alike."""
