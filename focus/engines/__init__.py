"""Engines that speak, listen and detect: a small Protocol for each kind, one file for each real engine."""
