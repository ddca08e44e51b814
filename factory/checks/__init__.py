"""Runs tools and collects facts; decides nothing."""
