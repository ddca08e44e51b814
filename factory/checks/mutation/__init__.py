"""Seeds defects in an app's sources, to measure what its tests and the gates notice."""
