"""Seeds defects in an app's sources, to measure how many its tests and the gates find."""
